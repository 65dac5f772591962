package controller

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/run"
)

func runIn(namespace, name string) run.Reference {
	return run.Reference{Kind: "TaskRun", Namespace: namespace, Name: name}
}

func TestBackoffGrowsDuringAnOutage(t *testing.T) {
	var b backoff
	if b.remaining() > 0 {
		t.Error("a backoff before any failure")
	}
	b.failed(runIn("a", "1"), outage)
	first := b.length
	b.failed(runIn("a", "2"), outage) // a concurrent attempt
	if b.remaining() <= 0 || b.length != first {
		t.Errorf("%s left of %s", b.remaining(), b.length)
	}
	for range 20 {
		b.until = time.Time{}
		b.failed(runIn("a", "1"), outage)
	}
	if b.length != longestOutage {
		t.Errorf("grew to %s", b.length)
	}
	if b.succeeded(runIn("a", "1")); b.remaining() > 0 {
		t.Error("not reset")
	}
}

// TestBackoffOfFailures makes attempts: namespace/name of the run, after "+" one that succeeded,
// "=" one that failed by its own fault, "!" one that met an outage, and else one that failed for an
// unclear cause.
func TestBackoffOfFailures(t *testing.T) {
	var ofOneNamespace strings.Builder
	for i := range 300 {
		fmt.Fprintf(&ofOneNamespace, "a/%d ", i)
	}
	for name, tt := range map[string]struct {
		attempts string
		delays   bool
	}{
		"what runs contain delays nobody":                            {"=a/1 =b/2 =c/3", false},
		"an outage delays all":                                       {"!a/1", true},
		"unclear failures in one namespace delay nobody":             {ofOneNamespace.String(), false},
		"unclear failures of two runs delay nobody":                  {"a/1 b/2", false},
		"unclear failures of one run are those of one run":           {"a/1 a/1 b/2", false},
		"unclear failures of several namespaces are an outage":       {"a/1 a/2 b/3", true},
		"a success in between shows that there is no outage":         {"a/1 a/2 +c/4 b/3", false},
		"runs that failed while others succeeded do not count again": {"a/1 b/2 b/3 +c/4 a/1 b/2 b/3", false},
		"a run that succeeded counts again":                          {"a/1 +c/4 +a/1 a/1 b/2 b/3", true},
	} {
		t.Run(name, func(t *testing.T) {
			var b backoff
			for attempt := range strings.FieldsSeq(tt.attempts) {
				namespace, run, _ := strings.Cut(strings.TrimLeft(attempt, "+=!"), "/")
				switch attempt[0] {
				case '+':
					b.succeeded(runIn(namespace, run))
				case '=':
					b.failed(runIn(namespace, run), ownFault)
				case '!':
					b.failed(runIn(namespace, run), outage)
				default:
					b.failed(runIn(namespace, run), unclear)
				}
			}
			if delays := b.length > 0; delays != tt.delays {
				t.Errorf("a delay of %s", b.length)
			}
		})
	}
}

func TestBackoffForgets(t *testing.T) {
	var b backoff
	b.failed(runIn("a", "1"), unclear)
	b.succeeded(runIn("a", "2"))
	b.failed(runIn("b", "1"), unclear)
	b.forget(runIn("a", "1"))
	b.forget(runIn("b", "1"))
	if len(b.doubted)+len(b.alone) > 0 {
		t.Errorf("keeps %v, %v", b.doubted, b.alone)
	}
}
