//go:build e2e

package e2e

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	pipelinev1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
)

var updateDocs = flag.Bool("update-docs", false, "write the attacks into docs/threat-model.md, instead of comparing")

const (
	threatModel = "../../docs/threat-model.md"
	attacksFrom = "<!-- attacks: written by TestThreatModelListsTheAttacks -update-docs -->\n"
	attacksTo   = "<!-- end of attacks -->\n"
)

// The document lists each row of the tables with its outcome, so that it cannot claim what no test
// shows.
func TestThreatModelListsTheAttacks(t *testing.T) {
	text, err := os.ReadFile(threatModel)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, found := strings.Cut(string(text), attacksFrom)
	listed, tail, ended := strings.Cut(rest, attacksTo)
	if !found || !ended {
		t.Fatalf("%s has no lines %q and %q", threatModel, attacksFrom, attacksTo)
	}
	want := listOfAttacks()
	if *updateDocs {
		if err := os.WriteFile(threatModel, []byte(head+attacksFrom+want+attacksTo+tail), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if listed != want {
		t.Errorf("%s does not list the attacks as they are; run: go test -tags e2e -run TestThreatModelListsTheAttacks "+
			"./test/e2e -args -update-docs", threatModel)
	}
}

func listOfAttacks() string {
	var b strings.Builder
	for _, group := range []struct {
		title string
		rows  []attack
	}{
		{"Strangers", attacksByStrangers},
		{"Impersonation", attacksByImpersonation},
		{"People", attacksByPeople},
		{"The own pod and results", attacksOnResults},
		{"The own pod and other fields", attacksOnOtherFields()},
		{"Size", attacksBySize},
		{"Form", attacksByForm},
		{"Elsewhere", attacksElsewhere},
		{"A TaskRun that runs", attacksOnARun},
	} {
		fmt.Fprintf(&b,
			"\n### %s\n\n| row of `TestAttacks` | who | guard and policy | policy alone |\n| --- | --- | --- | "+
				"--- |\n", group.title)
		for _, a := range group.rows {
			fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", a.name, who(a.who), a.guard, a.policy)
		}
	}
	b.WriteString(
		"\n### Forged pods\n\n| row of `TestForgedPods` | who | with or without the guard's webhook |\n| --- " +
			"| --- | --- |\n")
	nobody := &pipelinev1.TaskRun{}
	for _, c := range podCreations(nobody) {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", c.name, who(c.who), c.want)
	}
	for _, a := range podChanges(nobody, nobody) {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", a.name, who(a.who), a.guard)
	}
	b.WriteString("\n")
	return b.String()
}

// who describes a requester for readers who do not know the stage.
func who(writer string) string {
	switch {
	case writer == "person":
		return "a cluster administrator"
	case writer == "controller":
		return "the trusted controller"
	case writer == "retried-pod":
		return "the pod of the attempt before"
	case writer == "recreated-pod":
		return "a pod with the own pod's name"
	case strings.HasSuffix(writer, "-pod"):
		return "the own pod"
	}
	return writer
}

// String describes an attack's outcome in the document's words.
func (o outcome) String() string {
	text := strings.ReplaceAll(o.text, "|", `\|`)
	if text != "" {
		text = ": " + text
	}
	switch {
	case !o.denies() && o.changes:
		return "**passes**: " + o.why
	case !o.denies():
		return "no effect: " + o.why
	case o.by == guardDenies, o.by == elsewhere:
		return fmt.Sprintf("guard, %d%s", o.code, text)
	case o.by != "":
		return fmt.Sprintf("policy, %d%s", o.code, text)
	}
	return fmt.Sprintf("API server, %d%s", o.code, text)
}
