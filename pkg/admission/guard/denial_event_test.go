package guard

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
)

const (
	tooMuch    = `{"status":{"results":[{"name":"undeclared","value":"secret"}]}}`
	byStranger = `Warning ResultsWriteDenied: denied a write to the status by user "system:serviceaccount:team:default", Pod "other-pod" (rule "identity"): Pod "other-pod" is not the TaskRun's pod (status.podName)`
	byOwnPod   = `Warning ResultsWriteDenied: denied a write to the status by user "system:serviceaccount:team:default", Pod "build-pod" (rule "declared"): status.results have result "undeclared", which the Task does not declare, or declares with a value:`
)

func TestDenialsAreReported(t *testing.T) {
	yes := true
	tests := []struct {
		name   string
		user   authenticationv1.UserInfo
		stored string // a merge patch of the running TaskRun
		write  string
		change func(*admissionv1.AdmissionRequest)
		rule   string // of the audit annotation
		event  string // "" for none
	}{
		{name: "report another pod", user: otherPod, write: publish, rule: "identity", event: byStranger},
		{name: "report another pod that claims to be the publisher", user: otherPod, write: publish, rule: "identity",
			event: byStranger,
			change: func(r *admissionv1.AdmissionRequest) {
				r.Options.Raw = []byte(`{"fieldManager":"indelible-publisher"}`)
			}},
		{name: "report a person", user: person, write: publish, rule: "others",
			event: `Warning ResultsWriteDenied: denied a write to the status by user "ada" (rule "others"): status.results: only the TaskRun's own pod writes results, and only once`},
		{name: "report a write in v1beta1", user: unboundAccount, write: publish, rule: "scope",
			change: func(r *admissionv1.AdmissionRequest) { r.Resource.Version = "v1beta1" },
			event: `Warning ResultsWriteDenied: denied a write to the status by user "system:serviceaccount:team:default" (rule "scope"): ` +
				`taskruns/status is written by updates in tekton.dev/v1 only, not by this request (operation, resource or version)`},
		{name: "report what a step of the own pod writes by itself", user: ownPod, write: tooMuch, rule: "declared",
			event:  byOwnPod,
			change: func(r *admissionv1.AdmissionRequest) { r.Options.Raw = []byte(`{"fieldManager":"curl"}`) }},
		{name: "report what a step of the own pod writes without options", user: ownPod, write: tooMuch,
			rule:  "declared",
			event: byOwnPod},
		{name: "leave the own publisher to the failure of its TaskRun", user: ownPod, write: tooMuch, rule: "declared",
			change: func(r *admissionv1.AdmissionRequest) {
				r.Options.Raw = []byte(`{"fieldManager":"indelible-publisher"}`)
			}},
		{name: "leave a pod that may try again", user: ownPod, stored: `{"status":{"podName":null}}`, write: publish,
			rule: "identity"},
		{name: "leave dry runs", user: otherPod, write: publish, rule: "identity",
			change: func(r *admissionv1.AdmissionRequest) { r.DryRun = &yes }},
		{name: "leave what is allowed", user: ownPod, write: publish},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			stored := running
			if tt.stored != "" {
				stored = mergePatch(t, running, tt.stored)
			}
			req := request(tt.user, stored, mergePatch(t, stored, tt.write))
			if tt.change != nil {
				tt.change(&req.AdmissionRequest)
			}
			resp, _ := b.complete(NewGuard(b.options), req)
			if len(b.denials) > 0 {
				t.Errorf("the guard itself reported %q", b.denials)
			}
			b.report(req)
			if resp.Allowed != (tt.rule == "") || resp.AuditAnnotations["denied-by"] != tt.rule {
				t.Errorf("allowed %v with audit annotations %v, want denied by %q", resp.Allowed, resp.AuditAnnotations,
					tt.rule)
			}
			var want recordedEvents
			if tt.event != "" {
				want = recordedEvents{tt.event}
			}
			if diff := cmp.Diff(want, b.denials); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
			if len(b.events) > 0 {
				t.Errorf("reported among the carry-over's events: %q", b.events)
			}
		})
	}
}

func TestDenialsThatCannotBeReadAreReportedToTheNameInTheRequest(t *testing.T) {
	b := newBench(t)
	b.report(request(otherPod, "{", "{"))
	if len(b.denials) != 1 || !strings.Contains(b.denials[0], `(rule "request")`) || !strings.Contains(b.denials[0],
		"Namespace:team,Name:build,UID:,") {
		t.Errorf("got %q", b.denials)
	}
}

func TestDenialsAreBoundedWhateverIsInThem(t *testing.T) {
	b := newBench(t)
	stranger := person
	stranger.Username = strings.Repeat("\x00é", 5000)
	b.report(request(stranger, running, mergePatch(t, running, publish)))
	if len(b.denials) != 1 || len(b.denials[0]) > 1100 || strings.ContainsRune(b.denials[0], 0) {
		t.Errorf("got %q", b.denials)
	}
}

func TestDenialsAtTheEdgesOfTheRules(t *testing.T) {
	t.Run("leave a pod that may try again because the guard could not read it", func(t *testing.T) {
		b := newBench(t)
		b.options.Pods = fakePods(nil)
		b.report(request(ownPod, running, mergePatch(t, running, publish)))
		if len(b.denials) > 0 {
			t.Errorf("got %q", b.denials)
		}
	})
	t.Run("answer without anybody to report to", func(t *testing.T) {
		b := newBench(t)
		b.options.Denials = nil
		b.report(request(otherPod, running, mergePatch(t, running, publish)))
	})
	t.Run("report a TaskRun without a name under that in the request", func(t *testing.T) {
		b := newBench(t)
		b.report(request(otherPod, "{}", "{}"))
		if len(b.denials) != 1 || !strings.Contains(b.denials[0], "Namespace:team,Name:build,UID:,") {
			t.Errorf("got %q", b.denials)
		}
	})
}

// Anybody who reaches the port can send a forged review.
func TestNothingComesOfForgedReviews(t *testing.T) {
	b := newBench(t)
	b.options.Authenticated = nil
	b.report(request(otherPod, running, mergePatch(t, running, publish)))
	resp, final := b.carryOver(trustedController, running, withStatus(t,
		`{"conditions":[{"type":"Succeeded","status":"False"}],"steps":[{"name":"sign","terminationReason":"ResultsNotPublished"}]}`))
	if !resp.Allowed || !strings.Contains(final, "results not published") {
		t.Errorf("the carry-over answers %+v, want what it answers everybody", resp)
	}
	if len(b.denials)+len(b.events) > 0 {
		t.Errorf("sent %q and %q", b.denials, b.events)
	}
}
