package filter_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/cel-go/cel"

	"github.com/indelible-ci/indelible/pkg/archive/query/filter"
)

// generator makes filters on which cel-go and this package must agree if cel-go has an answer.
type generator struct{ *rand.Rand }

func (g generator) pick(of ...string) string { return of[g.IntN(len(of))] }

func (g generator) filter(depth int) string {
	if depth == 0 || g.IntN(4) == 0 {
		return g.leaf()
	}
	switch g.IntN(4) {
	case 0:
		return "!(" + g.filter(depth-1) + ")"
	case 1:
		return "(" + g.filter(depth-1) + " && " + g.filter(depth-1) + ")"
	default:
		return "(" + g.filter(depth-1) + " || " + g.filter(depth-1) + ")"
	}
}

func (g generator) text() string {
	return g.pick(`name`, `parent`, `data_type`, `data.metadata.name`, `data.metadata.labels["app"]`,
		`data.metadata.labels["no"]`, `data.kind`, `data.nothing.at.all`,
		`data.status.conditions[0].status`, `data.status.conditions[7].status`, `data["metadata"]["labels"]["tier"]`)
}

func (g generator) literal() string {
	return g.pick(`"3a1f"`, `"shop"`, `"cart"`, `"5"`, `"True"`, `"build-7"`, `""`, `"tekton.dev/v1.TaskRun"`,
		`"'; --"`, `"a"`)
}

func (g generator) leaf() string {
	switch g.IntN(7) {
	case 0:
		return g.text() + g.pick(" == ", " != ", " < ", " >= ") + g.literal()
	case 1:
		return g.literal() + g.pick(" == ", " != ") + g.text()
	case 2:
		return g.text() + " in [" + g.literal() + ", " + g.literal() + "]"
	case 3:
		return g.text() + g.pick(".contains(", ".startsWith(", ".endsWith(", ".matches(") +
			g.pick(`"a"`, `"art"`, `"T"`, `"-7"`, `"^b"`) + ")"
	case 4:
		return g.pick("data.metadata.generation", "data.metadata.nothing") + g.pick(" == ", " != ", " > ", " <= ") +
			g.pick("3", "2", "4")
	case 5:
		return g.pick("create_time", "update_time") + g.pick(" < ", " > ", " == ") + `timestamp("2026-11-30T10:00:00Z")`
	}
	return g.pick("true", "false", "has(data.spec.timeout)", "has(data.spec.nowhere)",
		`size(data.metadata.labels) == 2`)
}

// FuzzAgainstCEL makes filters from a number. If cel-go has an answer, this package has the same;
// and with parts of a record unknown, May allows what matches.
func FuzzAgainstCEL(f *testing.F) {
	for seed := range uint64(300) {
		f.Add(seed)
	}
	env, err := cel.NewEnv(cel.Variable("parent", cel.StringType), cel.Variable("result_name", cel.StringType),
		cel.Variable("name", cel.StringType),
		cel.Variable("data_type", cel.StringType), cel.Variable("data", cel.DynType),
		cel.Variable("create_time", cel.TimestampType),
		cel.Variable("update_time", cel.TimestampType), cel.CrossTypeNumericComparisons(true))
	if err != nil {
		f.Fatal(err)
	}
	r := record{values: recordValues, data: sample}
	f.Fuzz(func(t *testing.T, seed uint64) {
		g := generator{rand.New(rand.NewPCG(seed, 3))}
		text := g.filter(4)
		parsed, err := filter.Parse(filter.Records, text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		must, err := parsed.Must(t.Context(), r)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if want, ok := evaluate(t, env, text, r); ok && want != must {
			t.Errorf("%s: got %v, cel-go says %v", text, must, want)
		}
		for range 8 {
			hidden := map[string]bool{}
			partial := r
			partial.hidden = func(variable string, path []filter.Step) bool {
				key := fmt.Sprint(variable, path)
				if _, ok := hidden[key]; !ok {
					hidden[key] = g.IntN(2) == 0
				}
				return hidden[key]
			}
			may, err := parsed.May(t.Context(), partial)
			if err != nil || must && !may {
				t.Errorf("%s: it matches, but may not without %v (%v)", text, hidden, err)
			}
			if certain, _ := parsed.Must(t.Context(), partial); certain && !must {
				t.Errorf("%s: it does not match, but must without %v", text, hidden)
			}
		}
	})
}

// evaluate returns cel-go's answer; none if a field is missing.
func evaluate(t *testing.T, env *cel.Env, text string, r record) (answer, ok bool) {
	t.Helper()
	ast, issues := env.Compile(text)
	if issues.Err() != nil {
		t.Fatal(issues.Err())
	}
	program, err := env.Program(ast)
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]any{"data": r.Native("data")}
	for name, value := range r.values {
		values[name] = value
	}
	out, _, err := program.Eval(values)
	if err != nil {
		return false, false
	}
	answer, ok = out.Value().(bool)
	return answer, ok
}
