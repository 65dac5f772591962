package inject

import (
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/indelible-ci/indelible/pkg/publisher"
)

// ours is all that begins with "indelible" in a Pod's volumes, init containers and steps' mounts.
func ours(t *testing.T, raw []byte) tree {
	t.Helper()
	pod := parse(t, raw)
	found := tree{}
	keep := func(where string, list any) {
		for i, item := range toList(list) {
			if name := at(item, "name").(string); len(name) > 9 && name[:9] == "indelible" {
				entry := tree{"item": item}
				if where == "initContainers" {
					entry["index"] = i
				}
				found[where+" "+name] = entry
			}
		}
	}
	keep("volumes", at(pod, "spec", "volumes"))
	keep("initContainers", at(pod, "spec", "initContainers"))
	for _, c := range toList(at(pod, "spec", "containers")) {
		keep(at(c, "name").(string), at(c, "volumeMounts"))
	}
	return found
}

func toList(v any) []any {
	list, _ := v.([]any)
	return list
}

const (
	wantImageVolume = `{"item":{"name":"indelible-bin","image":{"reference":"indelible-publisher:dev","pullPolicy":"Never"}}}`
	wantEmptyDir    = `{"item":{"name":"indelible-bin","emptyDir":{}}}`
	wantBinMount    = `{"item":{"name":"indelible-bin","mountPath":"/indelible/bin","readOnly":true}}`
	wantTokenMount  = `{"item":{"name":"indelible-token","mountPath":"/indelible/token","readOnly":true}}`
	wantToken       = `{"item":{"name":"indelible-token","projected":{"defaultMode":420,"sources":[
		{"serviceAccountToken":{"expirationSeconds":3600,"path":"token"}},
		{"configMap":{"name":"kube-root-ca.crt","items":[{"key":"ca.crt","path":"ca.crt"}]}}]}}}`
	wantInstaller = `{"index":0,"item":{"name":"indelible-install","image":"indelible-publisher:dev","imagePullPolicy":"Never",
		"command":["/publisher","install","/indelible/bin/publisher"],
		"resources":RESOURCES,
		"volumeMounts":[{"name":"indelible-bin","mountPath":"/indelible/bin"}],
		"securityContext":{"allowPrivilegeEscalation":false,"capabilities":{"drop":["ALL"]},"readOnlyRootFilesystem":true,
			"runAsNonRoot":true,"seccompProfile":{"type":"RuntimeDefault"}RUNASUSER}}}`
)

func wantKeptMount(folder string) string {
	return `{"item":{"name":"indelible-kept","mountPath":"/indelible/kept","subPath":"` + folder + `"}}`
}

func TestWhatIsAdded(t *testing.T) {
	installerWith := func(resources, user string) string {
		return strings.NewReplacer("RUNASUSER", user, "RESOURCES", resources).Replace(wantInstaller)
	}
	installer := func(user string) string { return installerWith("{}", user) }
	initResources := func(pod tree, resources tree) {
		for _, c := range toList(at(pod, "spec", "initContainers")) {
			if at(c, "name") == "prepare" {
				c.(tree)["resources"] = resources
			}
		}
	}
	tests := map[string]struct {
		pod      string
		delivery Delivery
		change   func(tree)
		want     map[string]string
	}{
		"an image volume for a pod with a token, and a folder for each step before the last that no other can write": {
			"multi-step", DeliveryImageVolume, ownToken,
			map[string]string{
				"volumes indelible-bin":    wantImageVolume,
				"volumes indelible-kept":   `{"item":{"name":"indelible-kept","emptyDir":{}}}`,
				"step-fetch indelible-bin": wantBinMount, "step-fetch indelible-kept": wantKeptMount("0"),
				"step-build indelible-bin": wantBinMount, "step-build indelible-kept": wantKeptMount("1"),
				"step-unnamed-2 indelible-bin":  wantBinMount,
				"step-unnamed-2 indelible-kept": `{"item":{"name":"indelible-kept","mountPath":"/indelible/kept","readOnly":true}}`,
			},
		},
		"an image volume and a token": {
			"native-sidecar", DeliveryImageVolume, func(tree) {},
			map[string]string{
				"volumes indelible-bin": wantImageVolume, "step-build indelible-bin": wantBinMount,
				"volumes indelible-token": wantToken, "step-build indelible-token": wantTokenMount,
			},
		},
		"an init container, first, as the pod's own user": {
			"native-sidecar", DeliveryInitContainer, ownToken,
			map[string]string{
				"volumes indelible-bin": wantEmptyDir, "step-build indelible-bin": wantBinMount,
				"initContainers indelible-install": installer(""),
			},
		},
		"an init container as a user of its own where the pod runs as root": {
			"one-step", DeliveryInitContainer, func(pod tree) {
				ownToken(pod)
				pod["spec"].(tree)["securityContext"] = tree{"runAsUser": 0}
			},
			map[string]string{
				"volumes indelible-bin": wantEmptyDir, "step-build indelible-bin": wantBinMount,
				"initContainers indelible-install": installer(`,"runAsUser":65532`),
			},
		},
		"an init container with what Tekton's own has, but for devices": {
			"native-sidecar", DeliveryInitContainer, func(pod tree) {
				ownToken(pod)
				at(pod, "spec", "containers", 0).(tree)["resources"] = tree{"requests": tree{"cpu": "2"}}
				initResources(pod, tree{
					"requests": tree{"cpu": "200m", "memory": "96Mi", "example.com/gpu": "1"},
					"limits": tree{
						"cpu": "400m", "memory": "96Mi", "ephemeral-storage": "1Gi", "example.com/gpu": "1",
					},
				})
			},
			map[string]string{
				"volumes indelible-bin": wantEmptyDir, "step-build indelible-bin": wantBinMount,
				"initContainers indelible-install": installerWith(
					`{"requests":{"cpu":"200m","memory":"96Mi"},"limits":{"cpu":"400m","memory":"96Mi","ephemeral-storage":"1Gi"}}`,
					""),
			},
		},
		"an init container with what the first container has, where Tekton has none": {
			"native-sidecar", DeliveryInitContainer, func(pod tree) {
				ownToken(pod)
				pod["spec"].(tree)["initContainers"] = nil
				at(pod, "spec", "containers", 0).(tree)["resources"] = tree{"requests": tree{"cpu": "2"}}
			},
			map[string]string{
				"volumes indelible-bin": wantEmptyDir, "step-build indelible-bin": wantBinMount,
				"initContainers indelible-install": installerWith(`{"requests":{"cpu":"2"}}`, ""),
			},
		},
		"lists that are missing, null or empty": {
			"one-step", DeliveryInitContainer, func(pod tree) {
				delete(pod["spec"].(tree), "volumes")
				pod["spec"].(tree)["initContainers"] = nil
				at(pod, "spec", "containers", 0).(tree)["volumeMounts"] = []any{}
				delete(pod["metadata"].(tree), "annotations")
			},
			map[string]string{
				"volumes indelible-bin": wantEmptyDir, "step-build indelible-bin": wantBinMount,
				"volumes indelible-token": wantToken, "step-build indelible-token": wantTokenMount,
				"initContainers indelible-install": installer(`,"runAsUser":65532`),
			},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			settings := testSettings
			settings.Delivery = tc.delivery
			after, response := handle(t, Options{Settings: func() Settings { return settings }},
				edit(t, readPod(t, tc.pod), tc.change))
			if len(response.Warnings) > 0 {
				t.Errorf("warnings %q", response.Warnings)
			}
			want := tree{}
			for key, text := range tc.want {
				want[key] = parse(t, []byte(text))
			}
			// The same round trip for both makes numbers comparable.
			got, err := json.Marshal(ours(t, after))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, parse(t, got)); diff != "" {
				t.Error(diff)
			}
			if got := at(parse(t, after), "metadata", "annotations",
				"indelible.dev/injected"); got != string(tc.delivery) {
				t.Errorf("annotation %v", got)
			}
		})
	}
}

func TestPublisherOptionsFromThePod(t *testing.T) {
	mount := func(volume tree) func(tree) {
		return func(pod tree) {
			spec := pod["spec"].(tree)
			volume["name"] = "own"
			spec["volumes"] = append(spec["volumes"].([]any), volume)
			c := at(spec, "containers", 0).(tree)
			c["volumeMounts"] = append(c["volumeMounts"].([]any), tree{"name": "own", "mountPath": ownDir})
		}
	}
	root := tree{"configMap": tree{"name": "kube-root-ca.crt"}}
	token := func(t tree) tree { return tree{"serviceAccountToken": t} }
	seconds := func(n int) func(tree) {
		return func(pod tree) { pod["spec"].(tree)["terminationGracePeriodSeconds"] = n }
	}
	tests := map[string]struct {
		change             func(tree)
		credentials        string
		grace              time.Duration
		terminationMessage string
	}{
		"the pod's own token":      {ownToken, ownDir, 30 * time.Second, "/tekton/termination"},
		"no token, so one of ours": {func(tree) {}, "/indelible/token", 30 * time.Second, "/tekton/termination"},
		"a Secret's token is not the pod's": {mount(tree{"secret": tree{"secretName": "s"}}), "/indelible/token",
			30 * time.Second,
			"/tekton/termination"},
		"a projection the user made": {mount(
			tree{"projected": tree{"sources": []any{token(tree{"path": "token"}), root}}}),
			ownDir, 30 * time.Second,
			"/tekton/termination"},
		"a token for somebody else": {mount(tree{"projected": tree{"sources": []any{token(tree{"path": "token",
			"audience": "vault"}), root}}}), "/indelible/token", 30 * time.Second, "/tekton/termination"},
		"a token without a CA": {mount(tree{"projected": tree{"sources": []any{token(tree{"path": "token"})}}}),
			"/indelible/token", 30 * time.Second, "/tekton/termination"},
		"a grace period":                {seconds(300), "/indelible/token", 5 * time.Minute, "/tekton/termination"},
		"no grace period is one second": {seconds(0), "/indelible/token", time.Second, "/tekton/termination"},
		"no termination message path": {func(p tree) {
			delete(at(p, "spec", "containers", 0).(tree),
				"terminationMessagePath")
		}, "/indelible/token", 30 * time.Second, "/tekton/termination"},
		"another termination message path": {func(p tree) {
			at(p, "spec", "containers",
				0).(tree)["terminationMessagePath"] = "/x"
		},
			"/indelible/token", 30 * time.Second, "/x"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			after, _ := handle(t, Options{}, edit(t, readPod(t, "one-step"), tc.change))
			var pod corev1.Pod
			if err := json.Unmarshal(after, &pod); err != nil {
				t.Fatal(err)
			}
			got, err := publisher.ParseOptions(pod.Spec.Containers[0].Args, io.Discard)
			if err != nil {
				t.Fatal(err)
			}
			if got.Credentials != tc.credentials || got.GracePeriod != tc.grace ||
				got.TerminationMessage != tc.terminationMessage {
				t.Errorf("got %s, %s, %s", got.Credentials, got.GracePeriod, got.TerminationMessage)
			}
		})
	}
}

func TestLastStepIsTheOneThatRunsLast(t *testing.T) {
	// Another webhook may have put a container first, or changed the order.
	raw := edit(t, readPod(t, "step-results-only"), func(pod tree) {
		spec := pod["spec"].(tree)
		c := spec["containers"].([]any)
		spec["containers"] = []any{tree{"name": "istio-proxy", "image": "p", "command": []any{"p"}}, c[1], c[0]}
	})
	after, _ := handle(t, Options{}, raw)
	pod := parse(t, after)
	for container, keeps := range map[int]bool{1: false, 2: true} {
		var args []string
		for _, arg := range at(pod, "spec", "containers", container, "args").([]any) {
			args = append(args, arg.(string))
		}
		if got, err := publisher.ParseOptions(args, io.Discard); err != nil || keeps != (got.KeepIn != "") {
			t.Errorf("container %d keeps its report in %q (%v)", container, got.KeepIn, err)
		}
	}
	if diff := cmp.Diff([]any{"p"}, at(pod, "spec", "containers", 0, "command")); diff != "" {
		t.Error(diff)
	}
}

// A TaskRun's annotations are copied to its Pod, so one that was copied from an injected Pod must
// not stop injection.
func TestForgedAnnotationDoesNotStopInjection(t *testing.T) {
	raw := edit(t, readPod(t, "one-step"), func(pod tree) {
		at(pod, "metadata", "annotations").(tree)["indelible.dev/injected"] = "yes"
	})
	after, _ := handle(t, Options{}, raw)
	if got := at(parse(t, after), "metadata", "annotations", "indelible.dev/injected"); got != "image-volume" {
		t.Errorf("annotation %v", got)
	}
}

func TestNamespaceIsTheRequests(t *testing.T) {
	raw := edit(t, readPod(t, "one-step"), func(pod tree) {
		meta := pod["metadata"].(tree)
		delete(meta, "namespace")
		delete(meta, "name")
		meta["generateName"] = "one-step-"
	})
	after, _ := handle(t, Options{}, raw)
	if got := at(parse(t, after), "spec", "containers", 0, "args", 1); got != "ci" {
		t.Errorf("namespace %v", got)
	}
}

func TestInstallerCollision(t *testing.T) {
	settings := testSettings
	settings.Delivery = DeliveryInitContainer
	raw := edit(t, readPod(t, "one-step"), func(pod tree) {
		at(pod, "spec", "initContainers", 0).(tree)["name"] = "indelible-install"
	})
	_, response := handle(t, Options{Settings: func() Settings { return settings }}, raw)
	want := "indelible: results of this Pod keep Tekton's own size limit: it already has a container named " +
		"indelible-install"
	if hasPublisher(response) || len(response.Warnings) != 1 || response.Warnings[0] != want {
		t.Errorf("patches %v, warnings %q", response.Patches, response.Warnings)
	}
}
