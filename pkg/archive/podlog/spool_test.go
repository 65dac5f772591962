package podlog

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// leave writes a file into the spool, as a process before does.
func leave(t *testing.T, spool, file, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(spool, file), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// leaveLarge writes a file of a size that takes no room on the disk.
func leaveLarge(t *testing.T, spool, file string, size int64) {
	t.Helper()
	leave(t, spool, file, "")
	if err := os.Truncate(filepath.Join(spool, file), size); err != nil {
		t.Fatal(err)
	}
}

func filesIn(t *testing.T, spool string) []string {
	t.Helper()
	found, err := os.ReadDir(spool)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, file := range found {
		names = append(names, file.Name())
	}
	return names
}

// Names of files are not only this version's: the next one has to read them.
const (
	waitingFile  = "team_8a0f5c1e-64fb-4b07-9c30-0f4e4e2c3a11_0123456789abcdef0123456789abcdef.log"
	deletedFile  = "team_1d2c3b4a-64fb-4b07-9c30-0f4e4e2c3a11_0123456789abcdef0123456789abcdef.log"
	waitingRun   = types.UID("8a0f5c1e-64fb-4b07-9c30-0f4e4e2c3a11")
	formerOne    = "5d41402abc4b2a76b9719d911017c592.log"
	notOfAnybody = "notes.txt"
)

// A log outlives any time that its run waits for the archive, and goes when the run is known not to
// be there, or is forgotten.
func TestFilesStayAsLongAsTheirRun(t *testing.T) {
	all := []string{formerOne, notOfAnybody, deletedFile, waitingFile}
	for name, tt := range map[string]struct {
		does func(*Follower)
		want []string
	}{
		"until the runs are known": {func(*Follower) {}, all},
		"when they are known": {func(f *Follower) { f.KeepOnly(slices.Values([]types.UID{waitingRun})) },
			[]string{formerOne, notOfAnybody, waitingFile}},
		"when the run is forgotten before": {func(f *Follower) { f.Forget(waitingRun) }, all[:3]},
		"when the last run that waited is forgotten": {func(f *Follower) {
			f.KeepOnly(slices.Values([]types.UID{waitingRun}))
			f.Forget(waitingRun)
		}, []string{notOfAnybody}},
		"when the last run that waited is not there in a list that starts over": {func(f *Follower) {
			f.KeepOnly(slices.Values([]types.UID{waitingRun}))
			f.KeepOnly(slices.Values([]types.UID{"a later one"}))
		}, []string{notOfAnybody}},
		"when no run waits": {func(f *Follower) { f.KeepOnly(slices.Values([]types.UID{})) }, []string{notOfAnybody}},
	} {
		t.Run(name, func(t *testing.T) {
			spool, friday := t.TempDir(), time.Now().Add(-72*time.Hour)
			for _, file := range all {
				leave(t, spool, file, "2026-11-20T10:42:11.000000000Z one\n")
				if err := os.Chtimes(filepath.Join(spool, file), friday, friday); err != nil {
					t.Fatal(err)
				}
			}
			f := newTestFollower(t, &fakeKubelet{gone: true}, spool)
			tt.does(f)
			if got := filesIn(t, spool); !slices.Equal(got, tt.want) {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

// A log that is asked for stays or goes like one that nobody has asked for.
func TestFilesInUseStayAsLongAsTheirRun(t *testing.T) {
	for name, tt := range map[string]struct {
		known []types.UID
		want  int
	}{
		"the run is there":     {[]types.UID{"uid"}, 1},
		"the run is not there": {nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			spool := t.TempDir()
			leave(t, spool, fileOf("ns", testKey), "2026-11-20T10:42:11.000000000Z one\n")
			f := newTestFollower(t, &fakeKubelet{gone: true}, spool)
			if f.Tail("ns", testKey) == nil {
				t.Fatal("there is no log")
			}
			f.KeepOnly(slices.Values(tt.known))
			f.removals.Wait()
			if got := filesIn(t, spool); len(got) != tt.want || (f.Tail("ns", testKey) != nil) != (tt.want > 0) {
				t.Errorf("the spool has %s", got)
			}
			if (f.spooled.Load() > 0) != (tt.want > 0) || len(f.shares) != tt.want {
				t.Errorf("the spool counts %d bytes of %d namespaces", f.spooled.Load(), len(f.shares))
			}
		})
	}
}

// The version before named files by a digest of run, pod and container alone. Such a log is found,
// and gets a name that says whose it is.
func TestFilesOfTheVersionBefore(t *testing.T) {
	const former = "c6f37e64f9ecd87539f564da159b3df5.log" // printf 'uid\0p\0step-a' | sha256sum | cut -c1-32
	spool := t.TempDir()
	leave(t, spool, former, "2026-11-20T10:42:11.000000000Z one\n")
	f := newTestFollower(t, &fakeKubelet{gone: true}, spool)
	if f.spooled.Load() != 0 || len(f.shares) != 0 {
		t.Errorf("%d bytes count though nobody knows whose they are", f.spooled.Load())
	}
	tail := f.Tail("ns", testKey)
	if tail == nil {
		t.Fatal("the log is not found")
	}
	if err := tail.Prepare(); err != nil {
		t.Fatal(err)
	}
	if got, reason := contentOf(t, tail); got != "one\n" || !strings.Contains(reason, "restarted") {
		t.Errorf("got %q, %q", got, reason)
	}
	if got := filesIn(t, spool); len(got) != 1 || !strings.HasPrefix(got[0], "ns_uid_") {
		t.Errorf("the spool has %s", got)
	}
	if n := f.shares["ns"].spooled.Load(); n != 35 || f.spooled.Load() != n {
		t.Errorf("the share is %d bytes, the spool %d", n, f.spooled.Load())
	}
}

// What an earlier process has left takes the room of its own namespace, and nobody's once its run
// is forgotten.
func TestLeftoversCountForTheirNamespace(t *testing.T) {
	spool := t.TempDir()
	leaveLarge(t, spool, "greedy_opted-out_0123456789abcdef0123456789abcdef.log", MaxSpool/2)
	leaveLarge(t, spool, formerOne, MaxSpool)
	f := newTestFollower(t, &fakeKubelet{gone: true}, spool)
	f.slots = make(chan struct{}, 10)
	if f.Follow("greedy", Key{"more", "p-more", "step-a"}) {
		t.Error("a namespace gets more than half of the spool")
	}
	if !f.Follow("honest", Key{"other", "p-other", "step-a"}) {
		t.Error("another namespace has no room")
	}
	f.Forget("opted-out")
	if !f.Follow("greedy", Key{"more", "p-more", "step-a"}) {
		t.Error("a forgotten log takes room")
	}
}

// A run may be forgotten while its log is being written or read. Nothing of it stays, and it is not
// followed anew into the file that is being deleted.
func TestForgetWhileTheLogIsInUse(t *testing.T) {
	const line = "2026-11-20T10:42:11.000000000Z one\n"
	for name, begin := range map[string]func(*Follower) *Tail{
		"by its stream": func(f *Follower) *Tail {
			f.Follow("ns", testKey)
			return f.Tail("ns", testKey)
		},
		"by whoever archives the run": func(f *Follower) *Tail {
			leave(t, f.spool, fileOf("ns", testKey), line)
			f.findLeftover(fileOf("ns", testKey), int64(len(line)))
			tail := f.Tail("ns", testKey)
			go func() { _ = tail.Finish(t.Context()) }()
			return tail
		},
	} {
		t.Run(name, func(t *testing.T) {
			reads, goOn := make(chan struct{}), make(chan struct{})
			f := newTestFollower(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if !strings.HasSuffix(r.URL.Path, "/log") {
					w.Header().Set("Content-Type", "application/json")
					_, _ = io.WriteString(w, testPod("p", `{"running":{}}`))
					return
				}
				close(reads)
				<-goOn
				_, _ = io.WriteString(w, line+strings.ReplaceAll(line, ":11.", ":12."))
			}), t.TempDir())
			tail := begin(f)
			<-reads
			f.Forget(testKey.Run)
			if f.Tail("ns", testKey) != nil {
				t.Error("the log is not forgotten")
			}
			if name == "by whoever archives the run" && f.Follow("ns", testKey) {
				t.Error("it is followed anew although its file is in use")
			}
			close(goOn)
			f.removals.Wait()
			if got := filesIn(t, f.spool); len(got) > 0 || f.spooled.Load() != 0 || len(f.shares) > 0 || len(f.tails) > 0 {
				t.Errorf("the spool has %s, and counts %d bytes", got, f.spooled.Load())
			}
			_ = tail.Finish(t.Context())
			if _, _, err := tail.Open(); err == nil {
				t.Error("a forgotten log can be read")
			}
			if got := filesIn(t, f.spool); len(got) > 0 || f.spooled.Load() != 0 {
				t.Errorf("the spool has %s, and counts %d bytes", got, f.spooled.Load())
			}
		})
	}
}

// What has reached the disk before that failed can be read, if there is no other copy.
func TestWhatIsLeftOfALogThatCouldNotBeWritten(t *testing.T) {
	lines, _ := testLines()
	f := newTestFollower(t, &fakeKubelet{gone: true}, t.TempDir())
	tail := f.add("ns", testKey, 0)
	close(tail.done)
	if err := tail.open(); err != nil {
		t.Fatal(err)
	}
	if err := tail.copy(strings.NewReader(lines[0] + lines[4][:40])); err != nil {
		t.Fatal(err)
	}
	tail.close()
	var err error
	if tail.file, err = os.Open(tail.path); err != nil { // which cannot be written
		t.Fatal(err)
	}
	if err := tail.copy(strings.NewReader(lines[5])); err == nil {
		t.Fatal("the file was written")
	}
	tail.close()
	if !tail.Unusable() || !tail.Salvage() {
		t.Errorf("unusable %v", tail.Unusable())
	}
	if got, reason := contentOf(t, tail); got != "one\n"+lines[4][31:40] || reason != spoolBroke {
		t.Errorf("got %q, %q", got, reason)
	}
	if n := int64(len(lines[0]) + 40); tail.size != n || f.spooled.Load() != n {
		t.Errorf("the file is %d bytes, the spool %d", tail.size, f.spooled.Load())
	}
}

// Users who may write a run's status choose its containers' names. No name becomes a path, and what
// names a namespace or a run is found again.
func TestNamesOfFiles(t *testing.T) {
	for _, name := range []string{"../x", "x/../y", "a/b", "", ".", "..", "x\x00y", "a_b", strings.Repeat("a", 300),
		"UPPER", "a b", "team"} {
		file := fileOf(name, Key{types.UID(name), name, name})
		if filepath.Base(file) != file || len(file) > 200 {
			t.Errorf("%q becomes the file %s", name, file)
		}
		owner := fileName.FindStringSubmatch(file)
		if owner == nil || owner[1] != inName(name) || owner[2] != inName(name) || name == "team" && owner[2] != name {
			t.Errorf("the file %s is of %q", file, owner)
		}
	}
}
