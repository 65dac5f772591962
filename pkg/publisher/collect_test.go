package publisher

import (
	"net"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/indelible-ci/indelible/pkg/result"
)

// folder fills a results folder for one test.
type folder struct {
	t   *testing.T
	dir string
}

func (f folder) path(name string) string { return filepath.Join(f.dir, name) }

func (f folder) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f folder) file(name, content string) {
	f.must(os.MkdirAll(filepath.Dir(f.path(name)), 0o755))
	f.must(os.WriteFile(f.path(name), []byte(content), 0o600))
}

func (f folder) sparse(name string, size int64) {
	f.file(name, "")
	f.must(os.Truncate(f.path(name), size))
}

// asNobody calls do without the right of root to read every file.
func (f folder) asNobody(do func()) {
	if os.Getuid() != 0 {
		do()
		return
	}
	for dir := f.dir; dir != filepath.Clean(os.TempDir()); dir = filepath.Dir(dir) {
		f.must(os.Chmod(dir, 0o755)) // made for their owner only
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // for good: the thread, which is what loses the right, ends with the goroutine
		const nobody = 65534
		_, _, _ = syscall.RawSyscall(syscall.SYS_SETFSUID, nobody, 0, 0) // returns the one before, and no error
		do()
	}()
	<-done
}

// collect is what a step reports that is the only one.
func collect(o Options) (collected, error) {
	reports, err := gather(o)
	if err != nil {
		return collected{}, err
	}
	return combine(o, reports)
}

func TestCollectReads(t *testing.T) {
	tests := map[string]struct {
		files func(folder)
		want  []named
	}{
		"skips a file that is missing": {func(folder) {}, nil},
		"skips a link to nowhere":      {func(f folder) { f.must(os.Symlink("nowhere", f.path("a"))) }, nil},
		"reads /dev/null as Tekton does": {func(f folder) { f.must(os.Symlink("/dev/null", f.path("a"))) },
			[]named{{"a",
				""}}},
		"keeps an empty file": {func(f folder) { f.file("a", "") }, []named{{"a", ""}}},
		"keeps white space and control bytes": {func(f folder) { f.file("a", " \x00\r\n\t\x7f\n") }, []named{{"a",
			" \x00\r\n\t\x7f\n"}}},
		"keeps a replacement character": {func(f folder) { f.file("a", "\uFEFF\uFFFD\U0001F642") }, []named{{"a",
			"\uFEFF\uFFFD\U0001F642"}}},
		"sorts by name, as Tekton does": {func(f folder) { f.file("b", "2"); f.file("a", "1") },
			[]named{{"a", "1"}, {"b",
				"2"}}},
		"keeps undeclared files out": {func(f folder) { f.file("a", "1"); f.file("x", "2") }, []named{{"a", "1"}}},
		"keeps a file of exactly the limit": {func(f folder) { f.file("a", strings.Repeat("x", 100)) },
			[]named{{"a", strings.Repeat("x", 100)}}},
		"follows a link to a regular file, as Tekton does": {func(f folder) {
			f.file("elsewhere/real", "linked")
			f.must(os.Symlink("elsewhere/real", f.path("a")))
		}, []named{{"a", "linked"}}},
		"keeps a sum of exactly the limit": {func(f folder) {
			f.file("a", strings.Repeat("x", 100))
			f.file("b", strings.Repeat("x", 100))
			f.file("c", strings.Repeat("x", 50))
		}, []named{{"a", strings.Repeat("x", 100)}, {"b", strings.Repeat("x", 100)}, {"c", strings.Repeat("x", 50)}}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			o := testOptions(t)
			o.Limits = result.Limits{Result: 100, TaskRun: 250, Object: 1000}
			o.Results = []string{"a", "b", "", "c", "a"} // an empty name and a repeated one count for nothing
			tt.files(folder{t, o.ResultsDir})
			got, err := collect(o)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, collected{Results: tt.want}) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestCollectOwnResults(t *testing.T) {
	o := testOptions(t)
	dir := t.TempDir()
	folder{t, dir}.file("x", "1")
	folder{t, dir}.file("unrelated", "2")
	for _, tt := range []struct {
		own  StepResults
		want collected
	}{
		{StepResults{"one", dir, []string{"x", "y"}}, collected{Steps: []stepResults{{"one", []named{{"x", "1"}}}}}},
		{StepResults{"two", filepath.Join(dir, "never-made"), []string{"x"}}, collected{}},
		{StepResults{}, collected{}},
	} {
		o.Own = tt.own
		got, err := collect(o)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, tt.want) {
			t.Errorf("got %+v, want %+v", got, tt.want)
		}
	}
}

func TestCollectRefuses(t *testing.T) {
	tests := map[string]struct {
		names []string
		files func(folder)
		says  []string
	}{
		"forbid a folder": {[]string{"a"}, func(f folder) { f.must(os.Mkdir(f.path("a"), 0o755)) },
			[]string{`result "a" cannot be read`, "is a directory, not a regular file"}},
		"forbid a FIFO, without waiting for a writer": {[]string{"a"},
			func(f folder) { f.must(syscall.Mkfifo(f.path("a"), 0o600)) },
			[]string{`result "a"`, "is a FIFO, not a regular file"}},
		"forbid a link to a FIFO": {[]string{"a"}, func(f folder) {
			f.must(syscall.Mkfifo(f.path("fifo"), 0o600))
			f.must(os.Symlink("fifo", f.path("a")))
		}, []string{`result "a"`, "is a FIFO, not a regular file"}},
		"forbid a link to a folder": {[]string{"a"}, func(f folder) { f.must(os.Symlink("/", f.path("a"))) },
			[]string{`result "a"`, "is a directory"}},
		"forbid a device": {[]string{"a"}, func(f folder) { f.must(os.Symlink("/dev/tty", f.path("a"))) },
			[]string{`result "a"`, "is a device, not a regular file"}},
		"forbid a device without end, by its limit": {[]string{"a"},
			func(f folder) { f.must(os.Symlink("/dev/zero", f.path("a"))) },
			[]string{`result "a" is 101 bytes, over the limit of 100 bytes for one result`}},
		"forbid a socket": {[]string{"a"}, func(f folder) {
			// By a short name: a socket's path is limited to about 100 bytes.
			t.Chdir(f.dir)
			l, err := net.Listen("unix", "a")
			f.must(err)
			t.Cleanup(func() { _ = l.Close() })
		}, []string{`result "a"`, "is a socket, not a regular file"}},
		"forbid links in a circle": {[]string{"a"}, func(f folder) { f.must(os.Symlink("a", f.path("a"))) },
			[]string{`result "a" cannot be read`, "too many levels of symbolic links"}},
		"forbid one byte over the limit": {[]string{"a"}, func(f folder) { f.file("a", strings.Repeat("x", 101)) },
			[]string{`result "a" is 101 bytes, over the limit of 100 bytes for one result`}},
		"forbid content behind a size of zero": {[]string{"a"}, func(f folder) {
			f.must(os.Symlink("/proc/self/status", f.path("a"))) // the proc file system tells no sizes
		}, []string{`result "a" is 101 bytes, over the limit of 100 bytes for one result`}},
		"forbid several over the limit, and name them by size": {[]string{"a", "b", "c", "d", "e"}, func(f folder) {
			f.sparse("a", 101)
			f.sparse("b", 5<<30)
			f.sparse("c", 100)
			f.sparse("d", 2048)
			f.sparse("e", 102)
		}, []string{`result "b" is 5368709120 bytes (5 GiB), result "d" is 2048 bytes (2 KiB), result "e" is 102 bytes, and 1 more, over the limit of 100 bytes for one result`}},
		"forbid a sum over the TaskRun's limit": {[]string{"a", "b", "c", "d"}, func(f folder) {
			f.sparse("a", 60)
			f.sparse("b", 90)
			f.sparse("c", 1)
			f.sparse("d", 100)
		}, []string{"all results together are 251 bytes, over the limit of 250 bytes for one TaskRun",
			`the largest: result "d" is 100 bytes, result "b" is 90 bytes, result "a" is 60 bytes, and 1 more`}},
		"forbid bytes that are no UTF-8, and tell the first": {[]string{"a"}, func(f folder) {
			f.file("a",
				"a\u00e9\uFFFD\xff\xfe")
		},
			[]string{`result "a" is not valid UTF-8 at byte 6 of 8 bytes`}},
		"forbid a character cut off at the end": {[]string{"a"}, func(f folder) { f.file("a", "abc\xe2\x82") },
			[]string{`result "a" is not valid UTF-8 at byte 3 of 5 bytes`}},
		"forbid a name that leaves the folder": {[]string{"../outside"}, func(f folder) { f.file("../outside", "x") },
			[]string{`result "../outside" has a name that is no file name`}},
		"forbid a name into a folder": {[]string{"sub/a"}, func(f folder) { f.file("sub/a", "x") },
			[]string{`result "sub/a" has a name that is no file name`}},
		"forbid the folder above": {
			[]string{".."}, func(folder) {}, []string{`result ".." has a name that is no file name`},
		},
		"forbid the folder": {
			[]string{"."}, func(folder) {}, []string{`result "." has a name that is no file name`},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			o := testOptions(t)
			o.Limits = result.Limits{Result: 100, TaskRun: 250, Object: 1000}
			o.Results = tt.names
			tt.files(folder{t, o.ResultsDir})
			got, err := collect(o)
			if err == nil {
				t.Fatalf("no error, got %q", got)
			}
			wantText(t, err.Error(), tt.says...)
		})
	}
	t.Run("forbid a file its user cannot read", func(t *testing.T) {
		o := testOptions(t)
		o.Results = []string{"a"}
		f := folder{t, o.ResultsDir}
		f.file("a", "x")
		f.must(os.Chmod(f.path("a"), 0))
		var err error
		f.asNobody(func() { _, err = collect(o) })
		if err == nil {
			t.Fatal("no error")
		}
		wantText(t, err.Error(), `result "a" cannot be read`, "permission denied")
	})
}

func TestCollectNamesTheStep(t *testing.T) {
	o := testOptions(t)
	dir := t.TempDir()
	folder{t, dir}.sparse("x", 2<<20)
	o.Own = StepResults{"build", dir, []string{"x"}}
	_, err := collect(o)
	if err == nil {
		t.Fatal("no error")
	}
	wantText(t, err.Error(),
		`result "x" of step "build" is 2097152 bytes (2 MiB), over the limit of 1048576 bytes (1 MiB)`)
}

func TestCollectDoesNotReadWhatIsTooLarge(t *testing.T) {
	tests := map[string]struct {
		names []string
		size  int64
		most  uint64 // bytes allocated
	}{
		"refuses a file by its size":           {[]string{"huge"}, 100 << 20, 1 << 20},
		"reads no further than the sum allows": {strings.Split(strings.Repeat("x", 100), ""), 1 << 20, 3 << 20},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			o := testOptions(t)
			for i, n := range tt.names {
				n += strconv.Itoa(i)
				o.Results = append(o.Results, n)
				folder{t, o.ResultsDir}.sparse(n, tt.size)
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := collect(o)
			runtime.ReadMemStats(&after)
			if err == nil {
				t.Fatal("no error")
			}
			wantText(t, err.Error(), result.Size(100<<20).String())
			if n := after.TotalAlloc - before.TotalAlloc; n > tt.most {
				t.Errorf("allocated %s to refuse them", result.Size(n))
			}
		})
	}
}
