//go:build e2e

package e2e

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const differencesFile = "../../docs/differences.md"

// difference is one field of an entry that plain Tekton and Tekton with Indelible do not agree on.
// As a row of docs/differences.md, all but the reason may hold asterisks that stand for any text,
// and the entry may be several, with slashes between. A reason that begins with "Sometimes" is of a
// race: the row need not be seen.
type difference struct{ entry, field, plain, injected, why string }

// String omits the common beginning of long values, and shortens the rest.
func (d difference) String() string {
	same := 0
	for same < min(len(d.plain), len(d.injected)) && d.plain[same] == d.injected[same] {
		same++
	}
	from := max(same-80, 0)
	cut := func(value string) string {
		if from > 0 {
			value = "…" + value[from:]
		}
		return fmt.Sprintf("%.400s", value)
	}
	return fmt.Sprintf("%s differs\n  plain:    %s\n  injected: %s", d.field, cut(d.plain), cut(d.injected))
}

type differences []difference

const (
	// absent is shown for a field that only the other run has.
	absent = "(none)"
	// empty is shown for a field without text.
	empty = "(empty)"
)

func differencesBetween(entry string, plain, injected map[string]string) differences {
	var all differences
	names := maps.Clone(plain)
	maps.Copy(names, injected)
	for _, field := range slices.Sorted(maps.Keys(names)) {
		if a, b := shown(plain, field), shown(injected, field); a != b {
			all = append(all, difference{entry: entry, field: field, plain: a, injected: b})
		}
	}
	return all
}

// shown is a field as one line, as the document has it. Bytes that are no text stay told apart.
func shown(fields map[string]string, field string) string {
	value, ok := fields[field]
	if !ok {
		return absent
	}
	if value == "" {
		return empty
	}
	quoted := strconv.Quote(value)
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
}

func (all differences) find(d difference) *difference {
	for i := range all {
		row := &all[i]
		if row.about(d.entry) && glob(row.field, d.field) && glob(row.plain, d.plain) &&
			glob(row.injected, d.injected) {
			return row
		}
	}
	return nil
}

func (d *difference) about(entry string) bool {
	return slices.ContainsFunc(strings.Split(d.entry, " / "), func(pattern string) bool { return glob(pattern, entry) })
}

func (d *difference) sometimes() bool { return strings.HasPrefix(d.why, "Sometimes") }

// glob reports whether a text matches a pattern with asterisks.
func glob(pattern, text string) bool {
	var parts []string
	for _, part := range strings.Split(pattern, "*") {
		parts = append(parts, regexp.QuoteMeta(part))
	}
	return regexp.MustCompile(`^(?s:` + strings.Join(parts, `.*`) + `)$`).MatchString(text)
}

// readDifferences reads the table of the document: its rows are the lines of five cells after the
// one of hyphens.
func readDifferences(t *testing.T) differences {
	t.Helper()
	text, err := os.ReadFile(differencesFile)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := parseDifferences(string(text))
	if err != nil {
		t.Fatalf("%s: %v", differencesFile, err)
	}
	return rows
}

const differencesHead = "| entry | field | plain | injected | why |\n| --- | --- | --- | --- | --- |\n"

func parseDifferences(text string) (differences, error) {
	_, table, found := strings.Cut(text, differencesHead)
	if !found {
		return nil, fmt.Errorf("it has no table that begins %q", differencesHead)
	}
	var all differences
	for _, line := range strings.Split(table, "\n") {
		if !strings.HasPrefix(line, "|") {
			break
		}
		cells := strings.Split(strings.ReplaceAll(strings.Trim(line, "|"), `\|`, "\x00"), "|")
		if len(cells) != 5 {
			return nil, fmt.Errorf("a row has %d cells, want 5: %s", len(cells), line)
		}
		for i, cell := range cells {
			cells[i] = strings.Trim(strings.TrimSpace(strings.ReplaceAll(cell, "\x00", "|")), "`")
		}
		d := difference{cells[0], cells[1], cells[2], cells[3], cells[4]}
		if d.why == "" {
			return nil, fmt.Errorf("a row has no reason: %s", line)
		}
		all = append(all, d)
	}
	return all, nil
}

func TestDifferences(t *testing.T) {
	rows, err := parseDifferences("text\n\n" + differencesHead +
		"| `another entry / a step that *` | `run/step */log` | `a \\| b` | `*` | because |\n\n| another | table |\n")
	if err != nil || len(rows) != 1 {
		t.Fatalf("got %v, %v, want one row", rows, err)
	}
	found := differencesBetween("a step that looks",
		map[string]string{"run/step one/log": "a | b", "run/same": "x", "run/lost": "y"},
		map[string]string{"run/step one/log": "c\n", "run/same": "x", "run/new": ""})
	want := differences{
		{entry: "a step that looks", field: "run/lost", plain: "y", injected: absent},
		{entry: "a step that looks", field: "run/new", plain: absent, injected: empty},
		{entry: "a step that looks", field: "run/step one/log", plain: "a | b", injected: `c\n`},
	}
	if !slices.Equal(found, want) {
		t.Fatalf("got %v, want %v", found, want)
	}
	for i, listed := range []bool{false, false, true} {
		if got := rows.find(found[i]) != nil; got != listed {
			t.Errorf("%s: listed is %v, want %v", found[i].field, got, listed)
		}
	}
	for name, text := range map[string]string{
		"no table":      "text",
		"no reason":     differencesHead + "| a | b | c | d | |\n",
		"too few cells": differencesHead + "| a | b | c | d |\n",
	} {
		if _, err := parseDifferences(text); err == nil {
			t.Errorf("a document with %s is accepted", name)
		}
	}
}
