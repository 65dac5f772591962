package main

import (
	"bytes"
	"embed"
	"fmt"
	"math/rand/v2"
	"strings"
	"text/template"

	"sigs.k8s.io/yaml"

	"github.com/indelible-ci/indelible/pkg/archive/index/pack"
)

// References to the nearest text are the shortest, so the most frequent kind is last.
var files = []string{"failed.yaml", "customrun.yaml", "pipelinerun.yaml", "commit.json", "taskrun.yaml"}

//go:embed *.yaml commit.json
var templates embed.FS

// run has what the index knows of a run besides its record.
type run struct{ UID, Result, Name, Namespace, Created, Completed string }

func newRun(random *rand.Rand) run {
	if random == nil {
		random = rand.New(rand.NewPCG(3, 4)) //nolint:gosec // different texts, but always the same
	}
	return run{uid(random), uid(random), "build-" + letters(random, 8, base32), "team-" + letters(random, 8, base32),
		date(random), date(random)}
}

func (r run) known() []string {
	return []string{r.UID, r.Result, r.Name, r.Namespace, r.Created, r.Completed, r.Parts()}
}

// Parts is the prefix of the keys of the run's parts.
func (r run) Parts() string { return "clusters/default/parts/2026/11/20/10/" + r.UID + "." }

// sample fills in and shortens a template: with nothing where runs differ, or with realistic
// values.
func sample(file string, random *rand.Rand) ([]byte, error) {
	run := newRun(random)
	text, err := fill(file, run, random)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	short, _ := pack.Shorten(text, run.known()...)
	return short, nil
}

const base32 = "abcdefghijklmnopqrstuvwxyz234567"

func fill(file string, run run, random *rand.Rand) ([]byte, error) {
	functions := template.FuncMap{
		"name":   func() string { return words(random) },
		"uid":    func() string { return uid(random) },
		"hex":    func(n int) string { return letters(random, n, "0123456789abcdef") },
		"number": func(n int) string { return "1" + letters(random, n-1, "0123456789") },
		"base32": func() string { return letters(random, 26, base32) },
		"time":   func() string { return date(random) },
		"nano": func() string {
			return strings.Replace(date(random), "Z", "."+letters(random, 9, "0123456789")+"Z", 1)
		},
	}
	t, err := template.New(file).Funcs(functions).ParseFS(templates, file)
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	if err := t.Execute(&text, run); err != nil {
		return nil, err
	}
	if !strings.HasSuffix(file, ".yaml") {
		return text.Bytes(), nil
	}
	return yaml.YAMLToJSON(text.Bytes()) // fields are sorted by name, as in records
}

func date(random *rand.Rand) string {
	two := func() string { return letters(random, 1, "012345") + letters(random, 1, "0123456789") }
	return "2026-11-2" + letters(random, 1, "0123456789") + "T1" + letters(random, 1, "0123456789") + ":" + two() +
		":" + two() + "Z"
}

func letters(random *rand.Rand, n int, of string) string {
	var b strings.Builder
	for range n {
		if random == nil {
			b.WriteByte(of[0])
		} else {
			b.WriteByte(of[random.IntN(len(of))])
		}
	}
	return b.String()
}

func uid(random *rand.Rand) string {
	const digits = "0123456789abcdef"
	return letters(random, 8, digits) + "-" + letters(random, 4, digits) + "-4" + letters(random, 3, digits) + "-" +
		letters(random, 1, "89ab") + letters(random, 3, digits) + "-" + letters(random, 12, digits)
}

// words returns a name as users choose them: a letter if none is wanted, as YAML has no empty
// names.
func words(random *rand.Rand) string {
	if random == nil {
		return "x"
	}
	names := strings.Fields(
		"build test deploy git-clone lint unit-tests golang kaniko buildah maven release frontend backend payments checkout api web integration e2e scan push image team-a staging")
	return names[random.IntN(len(names))]
}
