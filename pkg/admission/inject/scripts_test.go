package inject

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"

	"github.com/indelible-ci/indelible/test/harness"
)

// shells are those of this machine among which Tekton's init container may find one: Debian's,
// busybox' (the image Tekton names by default has it), and bash.
func shells(t testing.TB) [][]string {
	t.Helper()
	var found [][]string
	for _, shell := range [][]string{{"dash"}, {"busybox", "sh"}, {"bash"}, {"bash", "--posix"}} {
		if path, err := exec.LookPath(shell[0]); err == nil {
			found = append(found, append([]string{path}, shell[1:]...))
		}
	}
	if len(found) == 0 {
		t.Skip("no shell on this machine")
	}
	return found
}

// growScript makes the first script of the Pod long, as Tekton's builder would have with a long
// script.
func growScript(script string) func(tree) {
	return func(pod tree) {
		args := placeScriptsArgs(pod)
		lines := strings.Split(args[1].(string), "\n")
		lines[slices.Index(lines, "cat > ${scriptfile} << '_EOF_'")+1] = base64.StdEncoding.EncodeToString(
			[]byte(script))
		args[1] = strings.Join(lines, "\n")
	}
}

func placeScriptsArgs(pod tree) []any {
	for _, c := range toList(at(pod, "spec", "initContainers")) {
		if at(c, "name") == "place-scripts" {
			return at(c, "args").([]any)
		}
	}
	return nil
}

// longScript is what becomes of a script that quotes a result: n bytes, no two places alike.
func longScript(n int) string { return "cat << 'END'\n" + harness.Sample(n) + "\nEND\n" }

// TestScriptsArePlaced runs the init container's program of Tekton's Pod in real shells, as Linux
// and the kubelet pass it, and reads what is in the script files.
func TestScriptsArePlaced(t *testing.T) {
	for _, size := range []int{80_000, 200_000, 500_000, 1_100_000} {
		script := longScript(size)
		after, response := handle(t, Options{}, edit(t, readPod(t, "scripts"), growScript(script)))
		if len(response.Warnings) > 0 {
			t.Errorf("warnings %q", response.Warnings)
		}
		args := placeScriptsArgs(parse(t, after))
		wantPieces := size > 98_000 // 4/3 of it is over 128 KiB
		if (len(args) > 2) != wantPieces || at(parse(t, after), "metadata",
			"annotations").(tree)["indelible.dev/scripts"] != marked(wantPieces) {
			t.Fatalf("%d bytes: %d arguments, annotations %v", size, len(args),
				at(parse(t, after), "metadata", "annotations"))
		}
		for _, shell := range shells(t) {
			t.Run(strings.Join(append(shell, strconv.Itoa(size)), " "), func(t *testing.T) {
				files := place(t, shell, args)
				if got := files["scripts/script-0-9l9zj"]; got != script {
					t.Errorf("the long script has %d bytes, want %d", len(got), len(script))
				}
				if got, want := files["scripts/script-2-mz4c7"], "#!/bin/sh\nset -e\necho again"; got != want {
					t.Errorf("script %q, want %q", got, want)
				}
				if got, want := files["scripts/sidecar-script-0-vr6ds"], "#!/bin/sh\nset -e\nsleep 1000"; got != want {
					t.Errorf("sidecar's script %q, want %q", got, want)
				}
				debug := files["debug/scripts/debug-continue"]
				if !strings.HasPrefix(debug, "#!/bin/sh\nset -e\n\nnumberOfSteps=3\n") ||
					!strings.Contains(debug, `postFile="$(ls ${debugInfo} | grep -E '[0-9]+' | tail -1)"`) {
					t.Errorf("debug script %q", debug)
				}
				if len(files) != 8 {
					t.Errorf("%d files, want 3 scripts, 4 for debugging and the entrypoint", len(files))
				}
			})
		}
	}
}

func marked(rechunked bool) any {
	if rechunked {
		return "rechunked"
	}
	return nil
}

// place runs a shell with the arguments, in which /tekton is a folder of the test's, and returns
// all files of it.
func place(t *testing.T, shell []string, args []any) map[string]string {
	t.Helper()
	root := t.TempDir()
	for _, dir := range []string{"scripts", "debug/scripts", "bin"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	const decode = "#!/bin/sh\n[ \"$1\" = decode-script ] && base64 -d \"$2\" > \"$2.new\" && mv \"$2.new\" \"$2\"\n"
	if err := os.WriteFile(filepath.Join(root, "bin/entrypoint"), []byte(decode), 0o755); err != nil {
		t.Fatal(err)
	}
	argv := slices.Clone(shell)
	for _, arg := range args {
		argv = append(argv, strings.ReplaceAll(expand(arg.(string), nil), "/tekton/", root+"/"))
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Fatalf("%v: %s", err, out)
	}
	files := map[string]string{}
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		name, _ := filepath.Rel(root, path)
		files[name] = strings.ReplaceAll(string(content), root+"/", "/tekton/")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// TestOtherScriptsAreLeftAlone: shapes that Tekton does not write, which end in a refusal where
// they are too long.
func TestOtherScriptsAreLeftAlone(t *testing.T) {
	long := strings.Repeat("#", 140_000)
	tests := map[string]func(c tree){
		"another command":             func(c tree) { c["command"] = []any{"bash"} },
		"a longer command":            func(c tree) { c["command"] = []any{"sh", "-e"} },
		"another option":              func(c tree) { at(c, "args").([]any)[0] = "-ec" },
		"another argument":            func(c tree) { c["args"] = append(c["args"].([]any), "x") },
		"another name":                func(c tree) { c["name"] = "place-scripts2" },
		"a reference that is too big": func(c tree) { at(c, "args").([]any)[1] = "$(=" + long + ")" },
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			raw := edit(t, readPod(t, "scripts"), func(pod tree) {
				growScript(long)(pod)
				change(at(pod, "spec", "initContainers", 1).(tree))
			})
			if r := refused(t, Options{}, raw); !strings.Contains(r, "place-scripts") ||
				!strings.Contains(r, "argument 2 has") && !strings.Contains(r,
					"argument 3 has") {
				t.Errorf("refused with %q", r)
			}
		})
	}
}

func TestRechunkingIsCounted(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	handle(t, Options{Metrics: NewMetrics(registry)}, edit(t, readPod(t, "scripts"), growScript(longScript(200_000))))
	if diff := cmp.Diff(map[string]float64{"skipped no_results": 1, "rechunked": 1}, counted(t, registry)); diff != "" {
		t.Error(diff)
	}
}

// TestScriptsOfPodsWithoutInjection: consuming needs no publisher; scripts are split unless the Pod
// opted out.
func TestScriptsOfPodsWithoutInjection(t *testing.T) {
	annotated := func(key, value string) func(tree) {
		return func(pod tree) { at(pod, "metadata", "annotations").(tree)[key] = value }
	}
	tests := map[string]struct {
		change func(tree)
		want   bool
	}{
		"a pod without results": {func(tree) {}, true},
		"a pod whose steps another has wrapped": {func(pod tree) {
			at(pod, "spec", "containers",
				0).(tree)["command"] = []any{"/vault"}
		}, true},
		"not a pod that opted out": {annotated("indelible.dev/results", "disabled"), false},
		"not a pod for Windows":    {func(pod tree) { pod["spec"].(tree)["os"] = tree{"name": "windows"} }, false},
		"not a pod of nobody's":    {func(pod tree) { delete(pod["metadata"].(tree), "ownerReferences") }, false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			raw := edit(t, readPod(t, "scripts"), func(pod tree) {
				growScript(longScript(200_000))(pod)
				tc.change(pod)
			})
			after, _ := handle(t, Options{}, raw)
			if got := len(placeScriptsArgs(parse(t, after))) > 2; got != tc.want {
				t.Errorf("in pieces: %v, want %v", got, tc.want)
			}
		})
	}
}

// outcome is what can be seen of a program that has run.
type outcome struct {
	Stdout string
	Exit   int
}

func run(t *testing.T, argv []string) outcome {
	t.Helper()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "IFS=ab c"}
	var stdout bytes.Buffer
	cmd.Stdout = &stdout
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return outcome{stdout.String(), cmd.ProcessState.ExitCode()}
}

// FuzzShells runs a program whole and in pieces. Its text is free only where shells take it as it
// is: what a fuzzer writes is not to be executed.
func FuzzShells(f *testing.F) {
	f.Add("some data", 0, 20)
	f.Add("é ' \" \\ `x` $(x) $$ * \t\n\n_EOF", 3, 30)
	f.Add(strings.Repeat("0123456789", 3000), 7, 1000)
	shells := shells(f)
	f.Fuzz(func(t *testing.T, data string, exit, limit int) {
		data = strings.ReplaceAll(strings.ToValidUTF8(data, ""), "\x00", "")
		script := "printf '%s|' \"$0\" \"$#\" \"$@\" \"$-\" x $*\n" +
			"file=/dev/stdout\ncat > ${file} << '_EOF_'\n" + base64.StdEncoding.EncodeToString([]byte(data)) +
			"\n_EOF_\n" +
			"cat << 'a-long-delimiter-that-nobody-writes'\n" + data + "\na-long-delimiter-that-nobody-writes\n" +
			"unset BASH_EXECUTION_STRING\nset | grep -v -e '^_=' -e '^LINENO=' -e '^BASH_' -e '^PPID=' | wc -l\n(exit " +
			strconv.Itoa(exit&127) + ")"
		pieces, ok := cut(script, 16+limit&0xffff)
		if !ok || len(script) > maxString || len(pieces) < 2 {
			return
		}
		for _, shell := range shells {
			// As the kubelet starts it: the name in the command is the first word, whatever file it
			// is.
			whole := run(t, append(slices.Clone(shell), "-c", script, "sh"))
			inPieces := run(t, append(slices.Clone(shell), joined(pieces)...))
			if diff := cmp.Diff(whole, inPieces); diff != "" {
				t.Errorf("%s: %s", shell, diff)
			}
		}
	})
}

// TestPiecesKeepTheName: $0 is the same with and without pieces.
func TestPiecesKeepTheName(t *testing.T) {
	path, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("no sh on this machine")
	}
	for _, args := range [][]string{{"-c", `printf %s "$0"`}, joined([]string{`printf %s`, ` "$0"`})} {
		cmd := exec.Command(path, args...)
		cmd.Args[0] = "sh"
		if out, err := cmd.Output(); err != nil || string(out) != "sh" {
			t.Errorf("%q: $0 is %q, %v", args, out, err)
		}
	}
}

func TestRechunkingTwiceEqualsOnce(t *testing.T) {
	for _, name := range []string{"scripts", "multi-step"} {
		once, first := handle(t, Options{}, edit(t, readPod(t, name), growScript(longScript(300_000))))
		twice, second := handle(t, Options{}, once)
		if len(first.Patches) == 0 || len(second.Patches) > 0 {
			t.Errorf("%s: %d, then %d operations", name, len(first.Patches), len(second.Patches))
		}
		if diff := cmp.Diff(parse(t, once), parse(t, twice)); diff != "" {
			t.Error(diff)
		}
	}
}

func TestRechunkingTouchesNothingElse(t *testing.T) {
	for _, delivery := range []Delivery{DeliveryImageVolume, DeliveryInitContainer} {
		settings := testSettings
		settings.Delivery = delivery
		raw := edit(t, readPod(t, "native-sidecar"), growScript(longScript(300_000)))
		after, _ := handle(t, Options{Settings: func() Settings { return settings }}, raw)
		var before, now corev1.Pod
		for raw, to := range map[*[]byte]*corev1.Pod{&raw: &before, &after: &now} {
			if err := json.Unmarshal(*raw, to); err != nil {
				t.Fatal(err)
			}
		}
		find := func(pod *corev1.Pod) *corev1.Container {
			i := slices.IndexFunc(pod.Spec.InitContainers,
				func(c corev1.Container) bool { return c.Name == "place-scripts" })
			return &pod.Spec.InitContainers[i]
		}
		c := find(&now)
		if got := strings.Join(c.Args[3:], ""); got != find(&before).Args[1] {
			t.Errorf("%d bytes in all pieces, want %d", len(got), len(find(&before).Args[1]))
		}
		c.Args = find(&before).Args
		if diff := cmp.Diff(find(&before), c); diff != "" {
			t.Error(diff)
		}
	}
}

// TestOnlyLongScriptsAreCut: one byte decides, and what Linux accepts stays as Tekton wrote it.
func TestOnlyLongScriptsAreCut(t *testing.T) {
	// -c PROGRAM; -c LOADER sh and two pieces of 64 KiB
	for size, want := range map[int]int{131_071: 2, 131_072: 3 + 2} {
		raw := edit(t, readPod(t, "scripts"), func(pod tree) {
			args := placeScriptsArgs(pod)
			program := args[1].(string)
			args[1] = program + strings.Repeat("#", size-len(program))
		})
		after, _ := handle(t, Options{}, raw)
		if got := len(placeScriptsArgs(parse(t, after))); got != want {
			t.Errorf("%d bytes: %d arguments, want %d", size, got, want)
		}
	}
}
