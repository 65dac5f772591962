package main

import (
	"go/parser"
	"go/token"
	"slices"
	"strings"
	"testing"
)

const source = `package p

func checkIt(a, b int) *denial {
	if a == 1 || b == 2 && a != 3 {
		return no
	}
	switch {
	case a > 4:
		b++
	}
	for i := 0; i < 3; i++ {
		a = i
	}
	if a == 1 || b == 2 && a != 3 {
		return no
	}
	c := a
	return yes(c)
}
`

func TestFindRules(t *testing.T) {
	next := 0
	rules, err := findRules("p.go", []byte(source), &next, map[string]int{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range rules {
		got = append(got, r.name)
	}
	want := []string{
		"checkIt: check checkIt",
		"checkIt: if a == 1 || b == 2 && a != 3", "checkIt: operand a == 1", "checkIt: operand b == 2 && a != 3",
		"checkIt: operand b == 2", "checkIt: operand a != 3",
		"checkIt: case a > 4", "checkIt: statement b++", "checkIt: statement a = i",
		"checkIt: if a == 1 || b == 2 && a != 3 #2", "checkIt: operand a == 1 #2",
		"checkIt: operand b == 2 && a != 3 #2",
		"checkIt: operand b == 2 #2", "checkIt: operand a != 3 #2",
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) || next != len(want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestInstrument(t *testing.T) {
	next := 0
	rules, err := findRules("p.go", []byte(source), &next, map[string]int{})
	if err != nil {
		t.Fatal(err)
	}
	text := string(instrument([]byte(source), rules))
	if _, err := parser.ParseFile(token.NewFileSet(), "p.go", text, 0); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if strings.Count(text, "\n") != strings.Count(source, "\n") {
		t.Error("lines have moved")
	}
	const off = switchName + " != "
	for _, want := range []string{
		"*denial { if " + switchName + " == 1 { return nil };",
		"if (" + off + "2 && ((" + off + "3 && (a == 1)) || (" + off + "4 && ((" + switchName +
			" == 5 || (b == 2)) && (" +
			switchName + " == 6 || (a != 3)))))) {",
		"case (" + off + "7 && (a > 4)):", "if " + off + "8 { b++ }", "for i := 0; i < 3; i++ {", "c := a\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
}

func TestFailedTests(t *testing.T) {
	for _, tt := range []struct {
		name, output string
		want         []string
	}{
		{"nothing failed", "ok\nPASS\n", nil},
		{"the innermost, in order",
			"--- FAIL: TestB (0.00s)\n    --- FAIL: TestB/two_words (0.00s)\n        x.go:1: --- " +
				"FAIL: no\n--- FAIL: TestA (1.20s)\nFAIL\n", []string{"TestA", "TestB/two_words"}},
		{"a panic", "--- FAIL: TestA (0.00s)\npanic: oh [recovered]\n", []string{"TestA"}},
		{"the time is up", "panic: test timed out after 20s\n\trunning tests:\n\t\tTestA (20s)\n\t\tTestB/x " +
			"(19.5s)\n\ngoroutine 1\n", []string{"TestA", "TestB/x"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := failedTests(tt.output); !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestReport(t *testing.T) {
	defer func(before map[string]string) { equivalents = before }(equivalents)
	equivalents = map[string]string{"shortcut": "it saves time"}
	for _, tt := range []struct {
		name string
		o    outcome
		ok   bool
		say  string
	}{
		{"a killed rule is well", outcome{name: "rule", killers: []string{"FuzzB", "TestA"}}, true, "TestA and 1 more"},
		{"a survivor is not", outcome{name: "rule"}, false, "SURVIVED"},
		{"an explained survivor is", outcome{name: "shortcut"}, true, "it saves time"},
		{"an explained one that is killed is not", outcome{name: "shortcut", killers: []string{"TestA"}}, false,
			"remove them there"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var b strings.Builder
			if ok := report(&b, []outcome{tt.o}); ok != tt.ok || !strings.Contains(b.String(), tt.say) {
				t.Errorf("%v:\n%s", ok, b.String())
			}
		})
	}
}

// Each policy in config/policy has its tests, and loses exactly one validation at a time.
func TestPolicies(t *testing.T) {
	files, err := readPolicies("../../" + policyFolder)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		n := len(f.policy.Spec.Validations)
		for i := range n {
			name, less := f.without(i)
			if got := len(less.Spec.Validations); name == "" || got != n-1 {
				t.Errorf("%s: %d validations are left of %d without %q", f.name, got, n, name)
			}
		}
		if len(f.policy.Spec.Validations) != n {
			t.Errorf("%s has lost validations", f.name)
		}
	}
}
