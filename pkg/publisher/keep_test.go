package publisher

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/indelible-ci/indelible/pkg/result"
)

// task is a TaskRun of several steps: what each of them does to the files is done between one
// report and the next.
type task struct {
	t       *testing.T
	options Options
	kept    string
}

func newTask(t *testing.T) *task {
	k := &task{t: t, options: testOptions(t), kept: t.TempDir()}
	k.options.Results = []string{"a", "b"}
	k.options.Limits = result.Limits{Result: 100, TaskRun: 150, Object: 1000}
	return k
}

// step returns the options of the step of that name, with a folder for its own results, and runs
// what it does.
func (k *task) step(name string, does func(task, own folder)) Options {
	k.t.Helper()
	own := folder{k.t, k.t.TempDir()}
	does(folder{k.t, k.options.ResultsDir}, own)
	o := k.options
	o.Own = StepResults{Step: name, Dir: own.dir, Names: []string{"x"}}
	return o
}

// keeps has a step that is not the last end.
func (k *task) keeps(name string, does func(task, own folder)) {
	k.t.Helper()
	o := k.step(name, does)
	folder := filepath.Join(k.kept, name)
	if err := os.Mkdir(folder, 0o755); err != nil {
		k.t.Fatal(err)
	}
	o.KeepIn = filepath.Join(folder, "report")
	if err := keep(o); err != nil {
		k.t.Fatal(err)
	}
	k.options.Kept = append(k.options.Kept, StepResults{Step: name, Dir: o.KeepIn, Names: o.Own.Names})
}

// ends has the last step end, and returns what would be published.
func (k *task) ends(name string, does func(task, own folder)) (collected, error) {
	k.t.Helper()
	return collect(k.step(name, does))
}

func nothing(folder, folder) {}

func writes(name, content string) func(folder, folder) {
	return func(task, _ folder) { task.file(name, content) }
}

func TestWhatAStepReportedStaysReported(t *testing.T) {
	for name, tt := range map[string]struct {
		first, second, last func(task, own folder)
		want                collected
	}{
		"though a later step removes the file": {
			writes("a", "1"), nothing, func(task, _ folder) { task.must(os.Remove(task.path("a"))) },
			collected{Results: []named{{"a", "1"}}}},
		"until a later step writes another": {
			writes("a", "1"), writes("a", "2"), func(task, _ folder) { task.must(os.Remove(task.path("a"))) },
			collected{Results: []named{{"a", "2"}}}},
		"and the last step's counts most": {
			writes("a", "1"), writes("a", "2"), writes("a", "3"), collected{Results: []named{{"a", "3"}}}},
		"in the order of the declarations": {
			writes("b", "1"), nothing, writes("a", "2"), collected{Results: []named{{"a", "2"}, {"b", "1"}}}},
		"an empty value as well": {
			writes("a", "1"), writes("a", ""), nothing, collected{Results: []named{{"a", ""}}}},
		"byte for byte": {
			writes("a", "\x00<&>\"\\\n\u2028\uFFFD\U0001F642"), nothing,
			func(task, _ folder) { task.must(os.Remove(task.path("a"))) },
			collected{Results: []named{{"a", "\x00<&>\"\\\n\u2028\uFFFD\U0001F642"}}}},
		"each step's own results under its name": {
			func(_, own folder) { own.file("x", "1") }, nothing, func(_, own folder) { own.file("x", "3") },
			collected{Steps: []stepResults{{"first", []named{{"x", "1"}}}, {"last", []named{{"x", "3"}}}}}},
		"through a link of the step's own": {
			func(task, own folder) {
				own.file("elsewhere", "linked")
				task.must(os.Symlink(own.path("elsewhere"), task.path("a")))
			}, nothing, func(task, _ folder) { task.must(os.Remove(task.path("a"))) },
			collected{Results: []named{{"a", "linked"}}}},
		"where a result that was too large is smaller in the end": {
			writes("a", strings.Repeat("v", 101)), writes("a", "small"), nothing,
			collected{Results: []named{{"a", "small"}}}},
		"where a result that was no UTF-8 is in the end": {
			writes("a", "\xff"), writes("a", "text"), nothing, collected{Results: []named{{"a", "text"}}}},
	} {
		t.Run(name, func(t *testing.T) {
			k := newTask(t)
			k.keeps("first", tt.first)
			k.keeps("second", tt.second)
			got, err := k.ends("last", tt.last)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestWhatAStepReportedIsRefused(t *testing.T) {
	large := func(n int) string { return strings.Repeat("v", n) }
	removed := func(task, _ folder) { task.must(os.Remove(task.path("a"))) }
	for name, tt := range map[string]struct {
		first, last func(task, own folder)
		says        string
	}{
		"forbid a result over the limit though its file is gone": {writes("a", large(101)), removed,
			`result "a" is 101 bytes, over the limit of 100 bytes`},
		"forbid a result that is no UTF-8 though its file is gone": {writes("a", "a\xff"), removed,
			`result "a" is not valid UTF-8 at byte 1 of 2 bytes`},
		"forbid what exceeds the limit together, of several steps": {writes("a", large(80)), func(task, _ folder) {
			task.must(os.Remove(task.path("a")))
			task.file("b", large(71))
		}, `all results together are 151 bytes, over the limit of 150 bytes for one TaskRun; the largest: result "a" is 80 bytes`},
		"forbid a step's own result over the limit": {func(_, own folder) { own.file("x", large(101)) }, nothing,
			`result "x" of step "first" is 101 bytes`},
	} {
		t.Run(name, func(t *testing.T) {
			k := newTask(t)
			k.keeps("first", tt.first)
			if got, err := k.ends("last", tt.last); err == nil {
				t.Errorf("no error, got %q", got)
			} else {
				wantText(t, err.Error(), tt.says)
			}
		})
	}
}

func TestReportsOfOtherSteps(t *testing.T) {
	k := newTask(t)
	k.keeps("first", func(task, own folder) { task.file("a", "1"); own.file("x", "1") })
	report := k.options.Kept[0].Dir
	write := func(content string) {
		_ = os.Remove(report) // it may be a FIFO, whose reader nobody is
		if err := os.WriteFile(report, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(report)
	if err != nil || info.Mode() != 0o644 {
		t.Errorf("the report's mode is %v (%v); the last step may run as any user", info.Mode(), err)
	}
	t.Run("nothing is left beside it", func(t *testing.T) {
		entries, err := os.ReadDir(filepath.Dir(report))
		if err != nil || len(entries) != 1 {
			t.Errorf("%v, %v", entries, err)
		}
	})
	t.Run("says nothing of a step that was killed before it could report", func(t *testing.T) {
		o := k.options
		o.Kept = append(slices.Clone(o.Kept),
			StepResults{Step: "killed", Dir: filepath.Join(k.kept, "killed", "report"),
				Names: []string{"x"}})
		if _, err := gather(o); err != nil {
			t.Error(err)
		}
	})
	t.Run("believes no names that were not declared, and no size but the value's", func(t *testing.T) {
		write(`{"results":[{"name":"evil","value":"1","size":1},{"name":"b","value":"22","size":-5000}],"step":[{"name":"y","value":"1"},{"name":"x","value":"2"}]}`)
		got, err := k.ends("last", func(task, _ folder) { task.must(os.Remove(task.path("a"))) })
		want := collected{Results: []named{{"b", "22"}}, Steps: []stepResults{{"first", []named{{"x", "2"}}}}}
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	})
	for name, change := range map[string]func(){
		"forbid what is no report":      func() { write("x") },
		"forbid half a report":          func() { write(`{"results":[{"name":"a"`) },
		"forbid a report without end":   func() { write(strings.Repeat(" ", 2<<20)) },
		"forbid a FIFO, without a wait": func() { _ = os.Remove(report); _ = syscall.Mkfifo(report, 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			change()
			_, err := k.ends("last", nothing)
			if err == nil {
				t.Fatal("no error")
			}
			wantText(t, err.Error(), `what step "first" reported cannot be read`)
		})
	}
}

func TestAStepThatCannotKeepItsReportFails(t *testing.T) {
	for name, tt := range map[string]struct {
		script string
		code   int
		says   string
	}{
		"where a result is no file":           {startedAt + "mkdir $0/digest", 74, `result "digest" cannot be read`},
		"where its folder is gone":            {startedAt + "rmdir $2", 74, "cannot be kept for the last step"},
		"with the code of a command that did": {startedAt + "rmdir $2; exit 3", 3, "cannot be kept for the last step"},
	} {
		t.Run(name, func(t *testing.T) {
			o := newStep(t, newAPIServer(t), tt.script)
			dir := filepath.Join(t.TempDir(), "kept")
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			o.Command, o.KeepIn = append(o.Command, dir), filepath.Join(dir, "report")
			code, _, stderr := runPublisher(t, publisherCommand(t, rolePublisher, o))
			if code != tt.code {
				t.Errorf("code %d, want %d", code, tt.code)
			}
			wantText(t, stderr, tt.says)
			checkTermination(t, o, "ResultsNotPublished", stderr)
		})
	}
}

// FuzzReport: whatever another step has left, the outcome has declared names only and stays within
// the limits.
func FuzzReport(f *testing.F) {
	for _, seed := range []string{`{}`, `{"results":[{"name":"a","value":"v","size":1}]}`,
		`{"step":[{"name":"x","flaw":"utf8","at":-1}]}`, `[]`,
		`{"results":[{"name":"a","size":9223372036854775807},{"name":"b","size":1}]}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		o := testOptions(t)
		o.Results, o.Limits = []string{"a", "b"}, result.Limits{Result: 100, TaskRun: 150, Object: 1000}
		path := filepath.Join(t.TempDir(), "report")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		o.Kept = []StepResults{{Step: "first", Dir: path, Names: []string{"x"}}}
		got, err := collect(o)
		if err != nil {
			return
		}
		total := 0
		for _, r := range got.Results {
			if total += len(r.Value); !slices.Contains(o.Results, r.Name) || len(r.Value) > 100 {
				t.Fatalf("%q", got)
			}
		}
		for _, s := range got.Steps {
			for _, r := range s.Results {
				if total += len(r.Value); s.Name != "first" || r.Name != "x" || len(r.Value) > 100 {
					t.Fatalf("%q", got)
				}
			}
		}
		if total > 150 {
			t.Fatalf("%d bytes in all", total)
		}
	})
}

// Tekton's entrypoint is a shell here, which writes the file for which the next step waits as that
// does.
func TestTheNextStepBeginsWhenTheReportIsKept(t *testing.T) {
	for name, tt := range map[string]struct {
		script string
		noRoom bool // for the report
		code   int
		begins string // which file of the two there is at the end
	}{
		"after a step that ended well": {script: "printf 1 > RESULT; : > POST.unkept", begins: "POST"},
		"as failed after a step that failed": {script: "printf 1 > RESULT; : > POST.unkept.err; exit 3", code: 3,
			begins: "POST.err"},
		"though the report cannot be kept": {script: "printf 1 > RESULT; : > POST.unkept", noRoom: true, code: 74,
			begins: "POST"},
		"not after an entrypoint that was killed":  {script: "printf 1 > RESULT; kill -9 $$", code: 137},
		"not after one that has not let it either": {script: "exit 1", code: 1},
	} {
		t.Run(name, func(t *testing.T) {
			o, dir := testOptions(t), t.TempDir()
			o.Results, o.Post, o.KeepIn = []string{"a"}, filepath.Join(dir, "out"), filepath.Join(dir, "report")
			if tt.noRoom {
				o.KeepIn = filepath.Join(dir, "missing", "report")
			}
			replace := strings.NewReplacer("RESULT", filepath.Join(o.ResultsDir, "a"), "POST", o.Post)
			o.Command = []string{"sh", "-c", replace.Replace(tt.script)}
			ended, early := make(chan struct{}), make(chan bool, 1)
			go func() {
				for {
					_, errWell := os.Stat(o.Post)
					_, errFailed := os.Stat(o.Post + ".err")
					if errWell == nil || errFailed == nil {
						_, err := os.Stat(o.KeepIn)
						early <- err != nil && !tt.noRoom
						return
					}
					select {
					case <-ended:
						early <- false
						return
					default:
					}
				}
			}()
			cmd := publisherCommand(t, rolePublisher, o)
			if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
				t.Fatal(err)
			}
			code := cmd.ProcessState.ExitCode()
			close(ended)
			if <-early {
				t.Error("the next step may begin before the report is there")
			}
			if code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			left, err := filepath.Glob(o.Post + "*")
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(left, " "); got != replace.Replace(tt.begins) {
				t.Errorf("left %q, want %q", got, replace.Replace(tt.begins))
			}
		})
	}
}
