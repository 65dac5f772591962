package certs

import (
	"context"
	"regexp"
	"slices"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

var configurationsResource = schema.GroupVersionResource{
	Group: "admissionregistration.k8s.io", Version: "v1", Resource: "mutatingwebhookconfigurations"}

func TestKeys(t *testing.T) {
	i := newInstallation()
	first, second := i.replica(t, DefaultLifetimes()), i.replica(t, DefaultLifetimes())
	if keys := first.Keys("/carry-over"); len(keys) != 0 {
		t.Errorf("before its first round a replica knows the keys %q", keys)
	}
	mustRound(t, first)
	mustRound(t, second)
	paths := i.paths(t)
	t.Run("allow a key in the path of what is ignored when it fails", func(t *testing.T) {
		for webhook, pattern := range map[string]string{"inject.indelible.dev": "^/inject/[0-9a-f]{40}$",
			"carry-over.indelible.dev": "^/carry-over/[0-9a-f]{40}$"} {
			if !regexp.MustCompile(pattern).MatchString(paths[webhook]) {
				t.Errorf("the path of %s is %s, want one like %s", webhook, paths[webhook], pattern)
			}
		}
	})
	t.Run("forbid a key in a path that API servers quote", func(t *testing.T) {
		if got := paths["guard.indelible.dev"]; got != "/guard" {
			t.Errorf("the path is %s", got)
		}
	})
	t.Run("forbid one path's key for another", func(t *testing.T) {
		if slices.Equal(first.Keys("/inject"), first.Keys("/carry-over")) {
			t.Error("both have the same")
		}
	})
	t.Run("allow one replica's key to the other", func(t *testing.T) {
		if got, want := second.Keys("/inject"), first.Keys("/inject"); !slices.Equal(got, want) ||
			paths["inject.indelible.dev"] != "/inject/"+want[0] {
			t.Errorf("one knows %q, the other %q, and the path is %s", got, want, paths["inject.indelible.dev"])
		}
	})
	t.Run("allow no key to a path that has none", func(t *testing.T) {
		if keys := first.Keys("/report"); len(keys) != 0 {
			t.Errorf("knows %q", keys)
		}
	})
	t.Run("repair a path that somebody put back", func(t *testing.T) {
		if err := i.Tracker().Update(configurationsResource, configuration("indelible-inject", "inject.indelible.dev"),
			""); err != nil {
			t.Fatal(err)
		}
		mustRound(t, second)
		if got := i.paths(t)["inject.indelible.dev"]; got != paths["inject.indelible.dev"] {
			t.Errorf("the path is %s, want %s", got, paths["inject.indelible.dev"])
		}
	})
	t.Run("take the key away from a webhook that no longer is ignored when it fails", func(t *testing.T) {
		all := i.AdmissionregistrationV1().MutatingWebhookConfigurations()
		c := must(all.Get(context.Background(), "indelible-inject", metav1.GetOptions{}))
		fail := admissionv1.Fail
		c.Webhooks[0].FailurePolicy = &fail
		must(all.Update(context.Background(), c, metav1.UpdateOptions{}))
		mustRound(t, first)
		if got := i.paths(t)["inject.indelible.dev"]; got != "/inject" {
			t.Errorf("the path is %s", got)
		}
	})
}

// A path that changes is no new bundle: the overlap of a rotation goes on.
func TestKeysChangeWithinTheOverlap(t *testing.T) {
	i := newInstallation()
	life := DefaultLifetimes()
	m := i.replica(t, life)
	mustRound(t, m)
	before := i.paths(t)["inject.indelible.dev"]
	i.now = birth.Add(244 * day)
	mustRound(t, m)
	published := string(i.secret(t).Data[keyNextPublished])
	i.now = i.now.Add(life.Overlap/4 - 1)
	mustRound(t, m)
	if got := i.paths(t)["inject.indelible.dev"]; got != before {
		t.Error("the path changed before a quarter of the overlap")
	}
	i.now = i.now.Add(1)
	mustRound(t, m)
	after := i.paths(t)["inject.indelible.dev"]
	if after == before || string(i.secret(t).Data[keyNextPublished]) != published {
		t.Error("after a quarter of the overlap the path must have changed, and nothing else")
	}
	i.now = i.now.Add(life.Overlap)
	mustRound(t, m)
	if got := i.paths(t)["inject.indelible.dev"]; got != after || len(m.Keys("/inject")) != 1 {
		t.Errorf("after the overlap the path changed again, or the old key still counts: %q", m.Keys("/inject"))
	}
}
