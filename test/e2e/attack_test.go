//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	pipelinev1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
)

// attack is one row of the table: a requester tries to write what it must not.
type attack struct {
	// name is a sentence that begins with "forbid", or with "allow" where the threat model says so.
	name string
	// who is one of the stage's writers (newAttackStage).
	who string
	// run is a TaskRun of the stage, whose status is written; at is another path instead.
	run, at string
	// outside: run is one of the stage in a namespace that has not opted in.
	outside bool
	// api is that of at, tektonV1 if it is empty.
	api string
	// change is a JSON patch of the object as it is stored, sent in each encoding.
	change string
	// raw is, instead, the body of one merge patch as it is.
	raw string
	// in are the encodings that the row is about; nil means all.
	in []encoding
	// guard is what becomes of it with the whole installation, policy with the guard's webhook
	// configuration deleted.
	guard, policy outcome
}

func (a attack) takes(e encoding) bool { return a.in == nil || slices.Contains(a.in, e) }

// outcome is the outcome of an attack. In any case the stored object stays unchanged, byte for
// byte, except for the API server's record of accepted writes (metadata.managedFields).
type outcome struct {
	// by is part of the message of the denier; code and text are the denial's.
	by   string
	code int32
	text string
	// why explains, for a write that is not denied, why that is harmless, or what protects instead.
	why string
	// changes marks a write that would change the object and is therefore a dry run, unlike one
	// without effect.
	changes bool
}

// putBack is the outcome of the controller's writes: it may not know of results that a pod wrote
// meanwhile.
var putBack = outcome{why: "the guard puts the stored results back"}

const (
	guardDenies  = "guard.indelible.dev"
	elsewhere    = "guard-elsewhere.indelible.dev"
	policyDenies = "ValidatingAdmissionPolicy 'indelible-results'"
)

func byGuard(code int32, text string) outcome {
	return outcome{by: guardDenies, code: code, text: text}
}
func byPolicy(text string) outcome { return outcome{by: policyDenies, code: 403, text: text} }

// byServer is a denial by authentication, RBAC, or the API server's own reading of the request.
func byServer(code int32, text string) outcome { return outcome{code: code, text: text} }

// noEffect is a write that the API server accepts and that changes nothing.
func noEffect(why string) outcome { return outcome{why: why} }

// passes is a write that is allowed. The reason says what protects instead, or whose right it is.
func passes(why string) outcome { return outcome{why: why, changes: true} }

// denies reports whether the write is denied.
func (o outcome) denies() bool { return o.code != 0 }

// inEncoding is the outcome in one encoding. A CRD accepts no strategic merge patch. All writes in
// v1beta1 are denied: Tekton's conversion loses fields, which can then not be compared.
func (o outcome) inEncoding(e encoding) outcome {
	switch {
	case o.denies() && o.by == "":
		return o
	case e == strategicPatch:
		return byServer(415, "unknown format")
	case e != v1beta1:
		return o
	case o.by == policyDenies || !o.denies():
		return byPolicy("")
	}
	return byGuard(403, "in tekton.dev/v1 only")
}

// attacks are all rows. docs/threat-model.md lists them (TestThreatModelListsTheAttacks).
var attacks = slices.Concat(attacksByStrangers, attacksByImpersonation, attacksByPeople, attacksOnResults,
	attacksOnOtherFields(),
	attacksBySize, attacksByForm, attacksElsewhere, attacksOnARun)

// TestAttacks goes through the table twice, so that the same rows show both locks: as installed,
// and with nothing but the policy. It leaves the TaskRuns as they were, and the real one then ends
// well with what its own pod wrote.
func TestAttacks(t *testing.T) {
	s := newAttackStage(t)
	t.Run("guard and policy", func(t *testing.T) {
		s.tryAll(t, func(a attack) outcome { return a.guard })
	})
	t.Run("policy alone", func(t *testing.T) {
		s.withoutGuard(t)
		s.tryAll(t, func(a attack) outcome { return a.policy })
	})
	s.release("run-pod", "step-write")
	tr := s.taskRun("run")
	taskRunSucceeded(t, tr)
	wantResults(t, tr.Status.Results, map[string]*pipelinev1.ResultValue{"text": text("true")})
}

func (s *stage) tryAll(t *testing.T, want func(attack) outcome) {
	for _, a := range attacks {
		t.Run(a.name, func(t *testing.T) {
			if a.raw != "" {
				s.try(t, a, want(a), mergePatch)
				return
			}
			for _, e := range encodings {
				if a.takes(e) {
					t.Run(string(e), func(t *testing.T) { s.try(t, a, want(a).inEncoding(e), e) })
				}
			}
		})
	}
}

func (s *stage) try(t *testing.T, a attack, want outcome, e encoding) {
	t.Helper()
	if a.outside {
		s = s.outside
	}
	at, api := a.at, a.api
	if at == "" {
		at = "taskruns/" + a.run + "/status"
	}
	if api == "" {
		api = tektonV1
	}
	object := strings.Join(strings.SplitN(at, "/", 3)[:2], "/") // without the subresource
	before := s.stored(api, object)
	write := asMergePatch(a.raw)
	if a.raw == "" {
		var err error
		write, err = e.encode(before, a.change)
		s.must(err)
	}
	if a.api != "" {
		write.api = a.api
	}
	wantOutcome(t, s.send(s.writers[a.who], at, write, want.changes), want)
	after := s.stored(api, object)
	if !want.denies() {
		before, after = withoutBooks(t, before), withoutBooks(t, after)
	}
	if !bytes.Equal(before, after) {
		t.Errorf("the stored object has changed: before %s, after %s", fingerprint(before), fingerprint(after))
	}
}

func withoutBooks(t *testing.T, object []byte) []byte {
	t.Helper()
	var o map[string]any
	if err := json.Unmarshal(object, &o); err != nil {
		t.Fatal(err)
	}
	metadata := o["metadata"].(map[string]any)
	delete(metadata, "managedFields")
	delete(metadata, "resourceVersion")
	rest, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	return rest
}

func wantOutcome(t *testing.T, err error, want outcome) {
	t.Helper()
	var denial apierrors.APIStatus
	switch {
	case err == nil && want.denies():
		t.Errorf("the write was accepted, want %d with %q", want.code, want.text)
	case err == nil:
	case !want.denies():
		t.Errorf("got %.600v, want the write to be accepted (%s)", err, want.why)
	case !errors.As(err, &denial):
		t.Errorf("got %.600v, want %d with %q", err, want.code, want.text)
	default:
		got := denial.Status()
		indelible := strings.Contains(got.Message, "indelible")
		if got.Code != want.code || !strings.Contains(got.Message, want.text) ||
			!strings.Contains(got.Message, want.by) ||
			indelible != (want.by != "") {
			t.Errorf("got %d %.600s, want %d by %q with %q", got.Code, got.Message, want.code, want.by, want.text)
		}
	}
}

// withoutGuard deletes the guard's webhook configuration, and creates it anew when the test ends.
func (s *stage) withoutGuard(t *testing.T) {
	t.Helper()
	webhooks := cluster.Kube.AdmissionregistrationV1().MutatingWebhookConfigurations()
	guard, err := webhooks.Get(s.ctx, "indelible-guard", metav1.GetOptions{})
	s.must(err)
	again := &admissionregistrationv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: guard.Name, Labels: guard.Labels, Annotations: guard.Annotations},
		Webhooks:   guard.Webhooks,
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), bound)
		defer cancel()
		if _, err := webhooks.Create(ctx, again, metav1.CreateOptions{}); err != nil {
			t.Errorf("creating the guard's webhook configuration anew: %v", err)
		}
		if err := s.awaitDenialBy(ctx, guardDenies); err != nil {
			t.Error(err)
		}
		awaitSelfChecks(&place{t: t, ctx: ctx, namespace: s.namespace})
	})
	s.must(webhooks.Delete(s.ctx, guard.Name, metav1.DeleteOptions{}))
	s.must(s.awaitDenialBy(s.ctx, policyDenies))
}

// awaitDenialBy waits until the API server uses a changed webhook or policy: a forged write is the
// probe.
func (s *stage) awaitDenialBy(ctx context.Context, who string) error {
	probe := asMergePatch(`{"status":{"results":null}}`)
	err := wait.PollUntilContextCancel(ctx, 100*time.Millisecond, true, func(context.Context) (bool, error) {
		err := s.send(s.writers["another pod"], "taskruns/published/status", probe, false)
		return err != nil && strings.Contains(err.Error(), who), nil
	})
	if err != nil {
		return fmt.Errorf("waiting for denials by %s: %w", who, err)
	}
	return nil
}
