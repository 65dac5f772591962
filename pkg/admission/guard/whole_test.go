package guard

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
)

func TestTheBooksOfManagersAreKept(t *testing.T) {
	const controller, run, pod = `{"manager":"controller","operation":"Update"}`,
		`{"manager":"controller","operation":"Update","subresource":"status"}`,
		`{"manager":"publisher","operation":"Update","subresource":"status"}`
	for _, tt := range []struct{ name, stored, incoming, want string }{
		{"an entry that the API server has shortened is as it was", `[` + controller +
			`,{"manager":"m","fieldsV1":{"a":{}}}]`, `[{"manager":"m"}]`,
			`[` + controller + `,{"manager":"m","fieldsV1":{"a":{}}}]`},
		{
			"a new manager comes after the others", `[` + controller + `]`, `[` + pod + `]`,
			`[` + controller + `,` + pod + `]`,
		},
		{"the same name on a subresource is another manager", `[` + controller + `]`, `[` + run + `]`,
			`[` + controller +
				`,` + run + `]`},
		{"without stored books the API server's stay", `[]`, `[` + pod + `]`, `[` + pod + `]`},
		{"what is no list is none", `5`, `[` + pod + `]`, `[` + pod + `]`},
		{"where nobody has written they stay as they are", `[]`, `[]`, `[]`},
		{"where there are none, none are added", `null`, `null`, `null`},
		{"a list that cannot be read is none", `[` + controller + `]`, `[` + pod + `,5]`, `[` + controller + `]`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			stored := mergePatch(t, running, `{"metadata":{"managedFields":`+tt.stored+`}}`)
			incoming := mergePatch(t, sparse(`{}`), `{"metadata":{"managedFields":`+tt.incoming+`}}`)
			_, got := newBench(t).guard(ownPod, stored, incoming)
			wantSame(t, got, marked(t, mergePatch(t, stored, `{"metadata":{"managedFields":`+tt.want+`}}`)))
		})
	}
}

func TestWhateverIsLeftOutIsStored(t *testing.T) {
	for name, incoming := range map[string]string{
		"nothing but a kind":       `{"kind":"TaskRun"}`,
		"no object in metadata":    `{"metadata":{}}`,
		"a status that is null":    `{"metadata":{"name":"build"},"status":null}`,
		"an empty status":          `{"metadata":{"name":"build"},"status":{}}`,
		"a list that is null":      `{"metadata":{"name":"build"},"status":{"results":null,"steps":null}}`,
		"the stored version":       `{"metadata":{"name":"build","resourceVersion":"7"}}`,
		"one field as it is":       `{"metadata":{"name":"build"},"status":{"podName":"build-pod"}}`,
		"spec and nothing besides": `{"spec":{"taskRef":{"name":"build"},"serviceAccountName":"default"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			resp, got := newBench(t).guard(ownPod, running, incoming)
			if !resp.Allowed {
				t.Fatalf("denied: %s", resp.Result.Message)
			}
			wantSame(t, got, marked(t, running))
		})
	}
}

// That a pod has published nothing is remembered, for its attempt and no other.
func TestThatNothingWasPublishedIsRemembered(t *testing.T) {
	const publication, nothing = `{"results":[{"name":"text","value":"v"}]}`, `{}`
	const published = `{"results":[{"name":"text","type":"string","value":"v"}]}`
	for _, tt := range []struct{ name, stored, write, want string }{
		{"without annotations before", `{"annotations":null}`, nothing,
			`{"annotations":{"indelible.dev/published":"pod-uid"}}`},
		{"beside other annotations", `{"annotations":{"a":"b/~"}}`, nothing,
			`{"annotations":{"indelible.dev/published":"pod-uid"}}`},
		{"over an earlier pod's mark", `{"annotations":{"indelible.dev/published":"earlier"}}`, nothing,
			`{"annotations":{"indelible.dev/published":"pod-uid"}}`},
		{"over annotations that are no object", `{"annotations":["x"]}`, nothing,
			`{"annotations":{"indelible.dev/published":"pod-uid"}}`},
		{"once", `{"annotations":{"indelible.dev/published":"pod-uid"}}`, nothing, `{}`},
		{"with a result there is no mark", `{}`, publication, published},
		{"after an earlier pod's mark a result is stored", `{"annotations":{"indelible.dev/published":"earlier"}}`,
			publication, published},
		{"where a result is stored there is no mark", published, nothing, `{}`},
		{"where a step result is stored there is no mark",
			`{"steps":[{"name":"sign","container":"step-sign","results":[{"name":"sig","type":"string","value":"s"}]}]}`,
			nothing, `{}`},
		{"a finished TaskRun has no mark", `{"completionTime":"2026-01-02T03:05:00Z"}`, nothing, `{}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			stored := withStatus(t, tt.stored)
			for form, incoming := range map[string]string{"whole": mergePatch(t, stored, `{"status":`+tt.write+`}`),
				"sparse": sparse(tt.write)} {
				resp, got := newBench(t).guard(ownPod, stored, incoming)
				if !resp.Allowed {
					t.Fatalf("%s: denied: %s", form, resp.Result.Message)
				}
				wantSame(t, got, mergePatch(t, stored, `{"status":`+tt.want+`}`))
			}
		})
	}
	b := newBench(t)
	resp, _ := b.guard(ownPod, marked(t, running), sparse(publication))
	b.wantDenied(resp, 422, "closed", "may not add any")
}

// If results come from termination messages, nothing would compare what a container publishes.
func TestAPodWithoutAPublisherPublishesNothing(t *testing.T) {
	for name, containers := range map[string][]corev1.Container{
		"plain Tekton": {{Name: "step-build", Command: []string{"/tekton/bin/entrypoint"}}},
		"a sidecar that calls itself the publisher": {{Name: "step-build", Command: []string{"/tekton/bin/entrypoint"}},
			{Name: "sidecar-x", Command: []string{"/indelible/bin/publisher"}}},
		"a step without a command": {{Name: "step-build", Args: []string{"/indelible/bin/publisher"}}},
		"no containers":            nil,
	} {
		t.Run(name, func(t *testing.T) {
			pod := taskRunPod("build-pod", "pod-uid", "run-uid")
			pod.Spec.Containers = containers
			b := newBench(t)
			b.options.Pods = fakePods{"build-pod": pod}
			resp, _ := b.guard(ownPod, running, sparse(`{"results":[{"name":"text","value":"v"}]}`))
			b.wantDenied(resp, 403, "publisher", "has no publisher")
		})
	}
}

// A stranger costs no more than a look at the request: neither the incoming object, which may be
// anything, is read nor, if the request already shows that it is a stranger, the stored one.
func TestAStrangersBodyIsNotRead(t *testing.T) {
	for _, tt := range []struct {
		name   string
		user   authenticationv1.UserInfo
		stored string
	}{
		{"another pod", otherPod, running},
		{"a pod of another namespace", podUser("rivals", "build-pod", "pod-uid"), `broken`},
		{"a service account without a pod", unboundAccount, `broken`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			resp, _ := b.guard(tt.user, tt.stored, `broken`)
			b.wantDenied(resp, 403, "identity", "")
		})
	}
}

func TestInNamespacesThatHaveNotOptedIn(t *testing.T) {
	stored := withStatus(t, storedResults)
	b := newBench(t)
	resp, _ := b.complete(NewGuardElsewhere(b.options),
		request(ownPod, running, sparse(`{"results":[{"name":"text","value":"v"}]}`)))
	b.wantDenied(resp, 403, "opted-in", "indelible.dev/results: enabled")
	b = newBench(t)
	resp, _ = b.complete(NewGuardElsewhere(b.options), request(unboundAccount, running, running))
	b.wantDenied(resp, 403, "identity", "not bound to a pod")
	b = newBench(t)
	resp, _ = b.complete(NewGuardElsewhere(b.options), request(person, stored, running))
	b.wantDenied(resp, 403, "others", "status.results")
	_, got := newBench(t).complete(NewGuardElsewhere(newBench(t).options), request(trustedController, stored, running))
	wantSame(t, got, stored)
}

func TestAPublicationLeavesEvidence(t *testing.T) {
	user := ownPod
	user.Extra = map[string]authenticationv1.ExtraValue{"authentication.kubernetes.io/credential-id": {"JTI=1"}}
	for key, value := range ownPod.Extra {
		user.Extra[key] = value
	}
	const value = "a\\b\"c<é>\n\u0001\U0001F600"
	quoted, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	sum := func(text string) string {
		digest := sha256.Sum256([]byte(text))
		return "sha256:" + hex.EncodeToString(digest[:])
	}
	req := request(user, running, sparse(`{"results":[{"name":"text","value":`+string(quoted)+`},{"name":"list","value":"[ \"a\" ]"}],
	  "steps":[{"name":"sign","results":[{"name":"sig","value":"s\ud83d\ude00\/"}]}]}`))
	resp := NewGuard(newBench(t).options).Handle(context.Background(), req)
	want := map[string]string{
		"taskrun-uid": "run-uid", "pod-uid": "pod-uid", "credential-id": "JTI=1",
		"published": "results/text=" + sum(value) + " results/list=" + sum(`[ "a" ]`) + " steps/sign/results/sig=" +
			sum("s\U0001F600/"),
	}
	if diff := cmp.Diff(want, resp.AuditAnnotations); diff != "" {
		t.Errorf("audit annotations (-want +got):\n%s", diff)
	}
	for _, user := range []authenticationv1.UserInfo{person, trustedController} {
		if resp, _ := newBench(t).guard(user, running, running); len(resp.AuditAnnotations) > 0 {
			t.Errorf("%s has evidence %v", user.Username, resp.AuditAnnotations)
		}
	}
	resp, _ = newBench(t).guard(ownPod, running, sparse(`{}`))
	if got := resp.AuditAnnotations["published"]; got != "" || strings.Contains(got, "sha256") {
		t.Errorf("a write that adds nothing has published %q", got)
	}
}
