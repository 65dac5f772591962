package certs

import (
	"context"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clienttesting "k8s.io/client-go/testing"
)

func TestFirstRound(t *testing.T) {
	i := newInstallation()
	m := i.replica(t, DefaultLifetimes())
	if err := m.Ready(); err == nil || !strings.Contains(err.Error(), "not published yet") {
		t.Errorf("before its first round a replica says %v, want it not ready", err)
	}
	if _, err := m.GetCertificate(nil); err == nil {
		t.Error("before its first round a replica has a certificate")
	}
	next := mustRound(t, m)
	if err := m.Ready(); err != nil {
		t.Errorf("after its first round a replica is not ready: %v", err)
	}
	bundles := i.bundles(t)
	if len(bundles) != 3 {
		t.Fatalf("%d webhooks, want 3", len(bundles))
	}
	for webhook, bundle := range bundles {
		if err := trusted(served(t, m).Leaf, bundle, i.now); err != nil {
			t.Errorf("%s: %v", webhook, err)
		}
	}
	// Two thirds of 90 days, less what the certificate is backdated by.
	if due := next.Sub(birth); due < 59*day || due > 60*day {
		t.Errorf("next due in %s, want about 60 days", due)
	}
}

func TestRoundChangesNothingTwice(t *testing.T) {
	i := newInstallation()
	m := i.replica(t, DefaultLifetimes())
	mustRound(t, m)
	i.ClearActions()
	mustRound(t, m)
	for _, a := range i.Actions() {
		if a.GetVerb() != "get" {
			t.Errorf("a second round does %s %s", a.GetVerb(), a.GetResource().Resource)
		}
	}
}

func TestRoundRepairsTheSecret(t *testing.T) {
	ours := func() map[string][]byte {
		i := newInstallation()
		mustRound(t, i.replica(t, DefaultLifetimes()))
		return i.secret(t).Data
	}
	foreign := func() map[string][]byte {
		other := must(issue(template("somebody-else"), pair{}))
		c := content{signer: other, serving: other}
		data := must(c.data())
		data[keyBundle] = certPEM(other.cert)
		return data
	}
	with := func(key, value string) func() map[string][]byte {
		return func() map[string][]byte {
			data := maps.Clone(ours())
			data[key] = []byte(value)
			return data
		}
	}
	tests := map[string]struct {
		data func() map[string][]byte
		kept []string
	}{
		"fills an empty Secret":     {func() map[string][]byte { return nil }, nil},
		"replaces another's Secret": {foreign, nil},
		"replaces a broken serving key, keeps the CA": {with(keyServingKey, "broken"),
			[]string{keySignerCert, keySignerKey, keyBundle}},
		"replaces another's serving key, keeps the CA": {with(keyServingKey, string(foreign()[keyServingKey])),
			[]string{keySignerCert, keySignerKey}},
		"replaces a broken CA key": {with(keySignerKey, "broken"), nil},
		"restores a lost bundle":   {with(keyBundle, ""), []string{keySignerCert, keyServingCert, keyServingKey}},
		"restores a broken bundle": {with(keyBundle, "broken"), []string{keySignerCert, keyServingCert, keyServingKey}},
		"drops a broken successor": {with(keyNextCert, "broken"), []string{keySignerCert, keyServingCert, keyBundle}},
		"keeps a whole one": {
			ours, []string{keyBundle, keySignerCert, keySignerKey, keyServingCert, keyServingKey},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			i := newInstallation()
			before := tc.data()
			i.storeSecret(t, before)
			m := i.replica(t, DefaultLifetimes())
			mustRound(t, m)
			after := i.secret(t).Data
			for _, key := range tc.kept {
				if string(after[key]) != string(before[key]) {
					t.Errorf("%s was replaced", key)
				}
			}
			if _, err := parse(after); err != nil {
				t.Errorf("the Secret is broken afterwards: %v", err)
			}
			for webhook, bundle := range i.bundles(t) {
				if err := trusted(served(t, m).Leaf, bundle, i.now); err != nil {
					t.Errorf("%s: %v", webhook, err)
				}
			}
			if strings.Contains(string(after[keyBundle]), string(foreign()[keyBundle])) {
				t.Error("another's CA is trusted")
			}
		})
	}
}

func TestReplicasAgree(t *testing.T) {
	tests := map[string]struct {
		after    time.Duration // since the installation's first certificates; 0: there are none yet
		conflict string        // the verb with which the second replica comes too late
	}{
		"when both make the first certificates":   {0, "create"},
		"when both renew the serving certificate": {61 * day, "update"},
		"when both make the next CA":              {244 * day, "update"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			i := newInstallation()
			first, second := i.replica(t, DefaultLifetimes()), i.replica(t, DefaultLifetimes())
			if tc.after > 0 {
				mustRound(t, first)
				i.now = birth.Add(tc.after)
			}
			// The second replica asks for the time after it has read the Secret: the first does its
			// round just then.
			raced, late := false, false
			second.Now = func() time.Time {
				if !raced {
					raced = true
					mustRound(t, first)
					late = true
				}
				return i.now
			}
			i.PrependReactor(tc.conflict, "secrets", func(clienttesting.Action) (bool, runtime.Object, error) {
				if !late || tc.conflict == "create" { // the fake refuses to create twice by itself
					return false, nil, nil
				}
				late = false
				return true, nil,
					apierrors.NewConflict(schema.GroupResource{Resource: "secrets"}, "indelible-webhook-certs",
						errors.New("changed"))
			})
			mustRound(t, second)
			if !served(t, first).Leaf.Equal(served(t, second).Leaf) {
				t.Error("the replicas serve with different certificates")
			}
			if n := strings.Count(string(i.secret(t).Data[keyBundle]), "BEGIN CERTIFICATE"); n > 2 {
				t.Errorf("%d CAs in the bundle", n)
			}
		})
	}
}

func TestUnreachableAPIServer(t *testing.T) {
	i := newInstallation()
	m := i.replica(t, DefaultLifetimes())
	mustRound(t, m)
	i.PrependReactor("*", "*", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, errors.New("connection refused")
	})
	i.now = birth.Add(89 * day)
	if _, err := m.round(context.Background()); err == nil {
		t.Fatal("a round without an API server reports no error")
	}
	if err := m.Ready(); err != nil {
		t.Errorf("while its certificate is valid, a replica without an API server must stay ready: %v", err)
	}
	i.now = birth.Add(91 * day)
	if err := m.Ready(); err == nil || !strings.Contains(err.Error(), "expired") {
		t.Errorf("with an expired certificate a replica says %v, want that it has expired", err)
	}
}

func TestConfigurations(t *testing.T) {
	ctx := context.Background()
	webhooks := func(i *installation) interface {
		Delete(context.Context, string, metav1.DeleteOptions) error
	} {
		return i.AdmissionregistrationV1().MutatingWebhookConfigurations()
	}
	t.Run("keeps serving one while the other does not exist", func(t *testing.T) {
		i := newInstallation()
		if err := webhooks(i).Delete(ctx, "indelible-inject", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		m := i.replica(t, DefaultLifetimes())
		if next := mustRound(t, m); next.Sub(i.now) > time.Minute {
			t.Errorf("looks for the missing configuration in %s only", next.Sub(i.now))
		}
		if err := m.Ready(); err != nil {
			t.Errorf("not ready: %v", err)
		}
	})
	t.Run("does not wait for an optional one, and serves it once it is there", func(t *testing.T) {
		i := newInstallation()
		m := i.replica(t, DefaultLifetimes())
		m.Optional = []string{"indelible-protect"}
		if next := mustRound(t, m); next.Sub(i.now) < day {
			t.Errorf("looks again in %s for what may never be installed", next.Sub(i.now))
		}
		if err := m.Ready(); err != nil {
			t.Errorf("not ready: %v", err)
		}
		if err := i.Tracker().Add(configuration("indelible-protect", "protect.indelible.dev")); err != nil {
			t.Fatal(err)
		}
		mustRound(t, m)
		if err := trusted(served(t, m).Leaf, i.bundles(t)["protect.indelible.dev"], i.now); err != nil {
			t.Error(err)
		}
	})
	t.Run("repairs a caBundle that was wiped", func(t *testing.T) {
		i := newInstallation()
		m := i.replica(t, DefaultLifetimes())
		mustRound(t, m)
		want := i.bundles(t)
		if err := i.Tracker().Update(schema.GroupVersionResource{Group: "admissionregistration.k8s.io", Version: "v1",
			Resource: "mutatingwebhookconfigurations"}, configuration("indelible-guard", "guard.indelible.dev",
			"carry-over.indelible.dev"), ""); err != nil {
			t.Fatal(err)
		}
		mustRound(t, m)
		if got := i.bundles(t); !maps.Equal(got, want) {
			t.Error("the bundles differ from those before")
		}
	})
	t.Run("is not ready while a configuration cannot be written", func(t *testing.T) {
		i := newInstallation()
		i.PrependReactor("patch", "*", func(clienttesting.Action) (bool, runtime.Object, error) {
			return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "mutatingwebhookconfigurations"},
				"indelible-guard", errors.New("no"))
		})
		m := i.replica(t, DefaultLifetimes())
		_, err := m.round(ctx)
		if err == nil || m.Ready() == nil {
			t.Errorf("round says %v, Ready says %v; want errors from both", err, m.Ready())
		}
	})
}

// TestOverlap follows one rotation of the CA through the Secret.
func TestOverlap(t *testing.T) {
	i := newInstallation()
	m := i.replica(t, DefaultLifetimes())
	mustRound(t, m)
	signer := string(i.secret(t).Data[keySignerCert])

	i.now = birth.Add(244 * day) // two thirds of 365 days are 243.3
	mustRound(t, m)
	data := i.secret(t).Data
	next := string(data[keyNextCert])
	if next == "" || string(data[keySignerCert]) != signer {
		t.Fatal("at two thirds of its life the CA must have a successor and still sign")
	}
	if got := string(data[keyBundle]); got != signer+next {
		t.Error("the bundle must be the CA and its successor")
	}
	if got, want := string(data[keyNextPublished]), "2027-07-22T12:00:00Z"; got != want {
		t.Errorf("published at %s, want %s", got, want)
	}

	// A configuration is replaced half an hour later: the overlap starts again.
	i.now = i.now.Add(30 * time.Minute)
	if err := i.Tracker().Update(schema.GroupVersionResource{Group: "admissionregistration.k8s.io", Version: "v1",
		Resource: "mutatingwebhookconfigurations"}, configuration("indelible-inject", "inject.indelible.dev"),
		""); err != nil {
		t.Fatal(err)
	}
	mustRound(t, m)
	i.now = i.now.Add(59 * time.Minute)
	mustRound(t, m)
	if string(i.secret(t).Data[keySignerCert]) != signer {
		t.Error("the successor signs although it has not been published for an hour")
	}
	i.now = i.now.Add(2 * time.Minute)
	mustRound(t, m)
	data = i.secret(t).Data
	if string(data[keySignerCert]) != next || len(data[keyNextCert]) != 0 || len(data[keyNextPublished]) != 0 {
		t.Error("after an hour the successor must sign, and have none itself")
	}
	if got := string(data[keyBundle]); got != signer+next {
		t.Error("the old CA must stay in the bundle until it expires")
	}
	i.now = birth.Add(366 * day)
	mustRound(t, m)
	if got := string(i.secret(t).Data[keyBundle]); got != next {
		t.Error("the expired CA must leave the bundle")
	}
}

func TestLifetimes(t *testing.T) {
	tests := map[string]struct {
		life Lifetimes
		want string
	}{
		"allow the defaults": {DefaultLifetimes(), ""},
		"forbid an overlap longer than it has": {Lifetimes{CA: 3 * time.Hour, Serving: time.Hour, Overlap: time.Hour},
			"shorter than a third"},
		"forbid a certificate that is never valid": {
			Lifetimes{CA: time.Hour, Overlap: time.Minute}, "must be positive",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := NewManaged(ManagedOptions{Lifetimes: tc.life})
			if (err == nil) != (tc.want == "") || (err != nil && !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}
