//go:build e2e

package e2e

import (
	"regexp"
	"strings"
	"testing"
)

// normalisations are removed from a value before it is compared, besides the namespace's name. Each
// also differs between two runs of plain Tekton.
var normalisations = []struct {
	why     string
	pattern *regexp.Regexp
	with    string
}{
	{"objects get an identity each", regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`),
		"UID"},
	{"the two run at different times",
		regexp.MustCompile(`\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)?`),
		"TIME"},
	{"the same, as date prints it",
		regexp.MustCompile(`\b[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d UTC \d{4}\b`),
		"TIME"},
	{"the same, in seconds", regexp.MustCompile(`\b1[789]\d{8}\b`), "TIME"},
	{"how far a pod had come when its time was over is a matter of the machine",
		regexp.MustCompile(`\nPrevious status: \[.*`),
		""},
	{"Tekton names a script's file at random", regexp.MustCompile(`(/tekton/scripts/script-\d+)-[a-z0-9]{5}\b`), "$1"},
	{"the name of a claim made for a run has a digest of the run's identity",
		regexp.MustCompile(`\bpvc-[0-9a-f]{10}\b`),
		"CLAIM"},
	{
		"Go's inittrace has times and sizes",
		regexp.MustCompile(`@[\d.]+ ms, [\d.]+ ms clock, \d+ bytes, \d+ allocs`), "@",
	},
	{"pods have addresses of their own", regexp.MustCompile(`\b10\.244\.\d+\.\d+\b`), "POD-IP"},
}

func normal(value string) string {
	for _, n := range normalisations {
		value = n.pattern.ReplaceAllString(value, n.with)
	}
	return value
}

// runners match the lines that Tekton's entrypoint and the publisher print. They print to stderr;
// how stderr and stdout are interleaved in the log is up to the container runtime.
var runners = regexp.MustCompile(`(?m)^(?:TIME (?:[A-Z]+|Error|Skipping) |indelible: ).*\n`)

// apart separates a step's log into what the step printed and what the programs that run it
// printed.
func apart(log string) (own, around string) {
	return runners.ReplaceAllString(log, ""), strings.Join(runners.FindAllString(log, -1), "")
}

func TestNormalisations(t *testing.T) {
	for value, want := range map[string]string{
		"uid 0b0a7a3e-5b1f-4b57-9c53-1f2a3b4c5d6e.":                 "uid UID.",
		"2026/11/29 20:15:01 Skipping step":                         "TIME Skipping step",
		"at 2026-11-29T20:15:01.123Z":                               "at TIME",
		"/tekton/scripts/script-0-9kzj2: line 3: foo: not found":    "/tekton/scripts/script-0: line 3: foo: not found",
		"Sun Nov 29 20:59:02 UTC 2026, or 1795985941":               "TIME, or TIME",
		"within \"20s\"\nPrevious status: [Pending] pod status":     "within \"20s\"",
		"claim pvc-0123456789":                                      "claim CLAIM",
		"init runtime @0.031 ms, 0.042 ms clock, 0 bytes, 0 allocs": "init runtime @",
		"from 10.244.0.17 to 10.96.0.1":                             "from POD-IP to 10.96.0.1",
		`"step-write" exited with code 3: Error, sha256:0123456789`: `"step-write" exited with code 3: Error, sha256:0123456789`,
	} {
		if got := normal(value); got != want {
			t.Errorf("%q is compared as %q, want %q", value, got, want)
		}
	}
}

func TestLogsApart(t *testing.T) {
	own, around := apart(
		"one\nTIME ERROR Error while\ntwo\nindelible: results not published\nTIME is money\nno newline")
	if own != "one\ntwo\nTIME is money\nno newline" || around != "TIME ERROR Error while\nindelible: results not "+
		"published\n" {
		t.Errorf("own %q, around %q", own, around)
	}
}
