package inject

import (
	"context"
	"encoding/json"
	"flag"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/go-logr/logr"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/indelible-ci/indelible/pkg/publisher"
)

// Whatever the arguments of a step's entrypoint, either the Pod is left alone or the publisher is
// told what Go's flag package, by which Tekton's entrypoint reads them, finds in -results and
// -step_results; that entrypoint then finds the same as before in all its other flags, and none of
// these two; and its command line is untouched.
func FuzzInjectArguments(f *testing.F) {
	for _, seed := range []string{
		"-results\na,b\n-step_results\nc\n-entrypoint\nsh\n--\n-c\ntrue", "--results=a\n-on_error=continue\n--",
		"-step_results\nx\n--", "-results\n\n--\n-results\nb",
		"-timeout\n-results\n-results\na\n--", "-wait_file_content\n-results\na\n-enable_spire=f\n--",
		"-step_metadata_dir\n/x=y\n-step_results\nc\n--", "-results\na=b\n--\n--", "-results\na,,b\n--",
		"-results\na\n-results\n--", "-results\na\n--results=b\n--\nx", "-unknown\n-results\na\n--",
		"-result_from\nsidecar-logs\n-results\na\n--",
	} {
		f.Add(seed)
	}
	pod := tektonsPod(f, "one-step")
	f.Fuzz(func(t *testing.T, joined string) {
		if !utf8.ValidString(joined) {
			return // no JSON can hold it
		}
		args := append([]string{"-post_file", "/tekton/run/0/out", "-step_metadata_dir", "/tekton/run/0/status"},
			strings.Split(joined,
				"\n")...)
		in := pod.DeepCopy()
		in.Spec.Containers[0].Args = args
		out := injected(t, in)
		if out == nil || out.Spec.Containers[0].Command[0] != publisherBinary {
			if out != nil && !slices.Equal(out.Spec.Containers[0].Args, args) {
				t.Fatalf("a Pod that is left alone has other arguments: %q", out.Spec.Containers[0].Args)
			}
			return
		}
		got, err := publisher.ParseOptions(out.Spec.Containers[0].Args, io.Discard)
		if err != nil {
			t.Fatalf("the publisher refuses its arguments: %v\n%q", err, out.Spec.Containers[0].Args)
		}
		if got.Command[0] != in.Spec.Containers[0].Command[0] {
			t.Fatalf("the command is %q", got.Command)
		}
		want, ok := readAsTekton(args)
		if !ok {
			return // a flag that this Tekton does not have
		}
		left, ok := readAsTekton(got.Command[1:])
		switch {
		case !ok || left.results != nil || left.stepResults != nil:
			t.Fatalf("the entrypoint does not read what is left, or finds results: %q", got.Command)
		case !slices.Equal(want.others, left.others) || !slices.Equal(want.command, left.command):
			t.Fatalf("the entrypoint reads %q, before it read %q", left, want)
		case !slices.Equal(want.results, got.Results):
			t.Fatalf("the publisher collects %q, want %q", got.Results, want.results)
		}
		dir := ""
		if len(want.stepResults) > 0 {
			dir = path.Join(want.metadata, "results")
		}
		if got.Own.Dir != dir || !slices.Equal(got.Own.Names, want.stepResults) {
			t.Fatalf("the publisher collects %q, want %q of %q", got.Own, want.stepResults, dir)
		}
	})
}

// The handler allows every Pod, panics at none, changes none twice, and answers with a patch that
// applies.
func FuzzInjectHandler(f *testing.F) {
	for _, seed := range []string{
		`{`, `null`, `[]`, `{"spec":null}`, `{"spec":{"containers":null}}`,
		`{"spec":{"containers":[{"name":"step-x","args":null}]}}`, `{"metadata":{"labels":null}}`,
		`{"metadata":{"annotations":{"indelible.dev/results":"disabled"}}}`,
		`{"spec":{"volumes":[{"name":"indelible-bin"}],"initContainers":[]}}`,
		`{"spec":{"terminationGracePeriodSeconds":-1}}`, `{"spec":{"containers":[{"name":"step-"}]}}`,
		`{"metadata":{"ownerReferences":[{}]}}`,
	} {
		f.Add([]byte(seed))
	}
	pod, err := json.Marshal(tektonsPod(f, "multi-step"))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, patch []byte) {
		answerTo(t, patch)
		merged, err := jsonpatch.MergePatch(pod, patch)
		if err != nil || !json.Valid(merged) {
			return
		}
		once := answerTo(t, merged)
		if once == nil {
			return
		}
		if twice := answerTo(t, once); twice != nil && !jsonpatch.Equal(once, twice) {
			t.Fatalf("the second time changes the Pod again:\n%s\n%s", once, twice)
		}
	})
}

func tektonsPod(f *testing.F, name string) *corev1.Pod {
	f.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", name+".json"))
	if err != nil {
		f.Fatal(err)
	}
	pod := &corev1.Pod{}
	if err := json.Unmarshal(raw, pod); err != nil {
		f.Fatal(err)
	}
	return pod
}

// injected returns what becomes of a Pod, nil if nothing does.
func injected(t *testing.T, pod *corev1.Pod) *corev1.Pod {
	t.Helper()
	raw, err := json.Marshal(pod)
	if err != nil {
		t.Fatal(err)
	}
	changed := answerTo(t, raw)
	if changed == nil {
		return nil
	}
	out := &corev1.Pod{}
	if err := json.Unmarshal(changed, out); err != nil {
		t.Fatalf("the injected Pod is no Pod: %v\n%s", err, changed)
	}
	return out
}

// answerTo sends any bytes to the handler and returns the patched object, nil if there is no patch.
func answerTo(t *testing.T, raw []byte) []byte {
	t.Helper()
	h := New(Options{Settings: func() Settings { return testSettings }, Log: logr.Discard()})
	resp := h.Handle(context.Background(), admission.Request{AdmissionRequest: admissionv1.AdmissionRequest{
		UID: "request", Operation: admissionv1.Create, Namespace: "ci", Object: runtime.RawExtension{Raw: raw},
		Resource: metav1.GroupVersionResource{Version: "v1", Resource: "pods"},
	}})
	if err := resp.Complete(admission.Request{}); err != nil || !resp.Allowed {
		t.Fatalf("not allowed: %v %v", err, resp.Result)
	}
	if len(resp.Patch) == 0 {
		return nil
	}
	patch, err := jsonpatch.DecodePatch(resp.Patch)
	if err != nil {
		t.Fatalf("no JSON patch: %v\n%s", err, resp.Patch)
	}
	out, err := patch.Apply(raw)
	if err != nil || !json.Valid(out) {
		t.Fatalf("the patch does not apply: %v\n%s\n%s", err, resp.Patch, raw)
	}
	return out
}

// asRead is what Tekton's entrypoint finds on its command line.
type asRead struct {
	results, stepResults []string
	metadata             string
	// others are all other flags that are set, as name=value, in the order of their names.
	others, command []string
}

// readAsTekton reads arguments as cmd/entrypoint/main.go of Tekton Pipelines 1.15 does, with its
// flags.
func readAsTekton(args []string) (asRead, bool) {
	set := flag.NewFlagSet("entrypoint", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	for name := range entrypointBool {
		set.Bool(name, false, "")
	}
	for name := range entrypointValue {
		set.String(name, "", "")
	}
	if err := set.Parse(args); err != nil {
		return asRead{}, false
	}
	read := asRead{command: set.Args()}
	set.Visit(func(f *flag.Flag) {
		switch f.Name {
		case "results":
			read.results = namesIn(f.Value.String())
		case "step_results":
			read.stepResults = namesIn(f.Value.String())
		default:
			if f.Name == "step_metadata_dir" {
				read.metadata = f.Value.String()
			}
			read.others = append(read.others, f.Name+"="+f.Value.String())
		}
	})
	return read, true
}

// namesIn are the names Tekton's entrypoint reads files of: an empty one is none.
func namesIn(list string) []string {
	return slices.DeleteFunc(strings.Split(list, ","), func(name string) bool { return name == "" })
}
