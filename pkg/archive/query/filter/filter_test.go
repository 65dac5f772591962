package filter_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/cel-go/cel"

	"github.com/indelible-ci/indelible/pkg/archive/query/filter"
)

// record is an Env of a record. What hidden has is not known.
type record struct {
	values map[string]any
	data   string
	hidden func(variable string, path []filter.Step) bool
}

func (r record) Value(variable string, path []filter.Step) any {
	if r.hidden != nil && r.hidden(variable, path) {
		return filter.Unknown
	}
	if variable == "data" {
		return filter.Lookup([]byte(r.data), path)
	}
	if m, is := r.values[variable].(map[string]string); is && len(path) == 1 {
		if value, ok := m[path[0].Field]; ok {
			return value
		}
		return nil
	}
	if len(path) > 0 {
		return r.values[variable+"."+path[0].Field]
	}
	return r.values[variable]
}

func (r record) Native(variable string) any {
	if r.hidden != nil && r.hidden(variable, nil) {
		return filter.Unknown
	}
	if variable == "data" {
		var value any
		_ = json.Unmarshal([]byte(r.data), &value)
		return value
	}
	return r.values[variable]
}

const sample = `{"kind":"TaskRun","metadata":{"name":"build-7","namespace":"shop","labels":{"app":"cart","tier":"5"},"annotations":{"b":"2","aa":"1"},"generation":3},
	"spec":{"paused":false,"text":"true","nothing":null,"timeout":"1h0m0s"},
	"status":{"conditions":[{"type":"Succeeded","status":"True"}],"startTime":"2026-11-30T09:58:00Z","completionTime":"2026-11-30T10:05:00Z"}}`

var recordValues = map[string]any{
	"parent": "shop", "result_name": "nightly", "name": "3a1f", "data_type": "tekton.dev/v1.TaskRun",
	"create_time": time.Date(2026, 11, 30, 9, 57, 0, 0, time.UTC), "update_time": time.Date(2026, 11, 30, 10, 6, 0, 0, time.UTC),
}

// What Tekton Results' translation to SQL means, by its own examples and by Postgres' rules for null.
func TestRecords(t *testing.T) {
	for text, want := range map[string]bool{
		``:                            true,
		`name == "3a1f"`:              true,
		`data_type == TASK_RUN`:       true,
		`data_type == PIPELINE_RUN`:   false,
		`name + "x" == "3a1fx"`:       true,
		`parent in ["a", "shop"]`:     true,
		`result_name.endsWith("tly")`: true,
		`data.metadata.namespace == "shop" && data["metadata"].name == "build-7"`: true,
		`data.metadata.labels["app"] == "cart"`:                                   true,
		// Null is neither equal nor different.
		`data.metadata.labels["no"] == "cart"`:                                            false,
		`data.metadata.labels["no"] != "cart"`:                                            false,
		`!(data.metadata.labels["no"] == "cart")`:                                         false,
		`data.metadata.labels["no"] == "x" || true`:                                       true,
		`data.metadata.labels["app"] != "shop"`:                                           true,
		`data.metadata.labels["no"] in ["cart"]`:                                          false,
		`!(data.metadata.labels["no"] in ["cart"])`:                                       false,
		`data.spec.nothing == null`:                                                       false,
		`data.spec.nothing != "x"`:                                                        false,
		`data.no.where.at.all == "x"`:                                                     false,
		`data.kind.below.text == "x"`:                                                     false,
		`"TaskRun" == data.kind`:                                                          true,
		`data.status.conditions[0].status == "True"`:                                      true,
		`data.status.conditions[1].status == "True"`:                                      false,
		`data.metadata.labels.contains("app")`:                                            true,
		`data.metadata.labels.contains("\"app\": \"cart\"")`:                              true,
		`data.metadata.annotations.contains("{\"b\": \"2\", \"aa\": \"1\"}")`:             true, // shorter keys are first
		`!(data.metadata.annotations.contains("cart"))`:                                   true,
		`!(data.metadata.nothing.contains("cart"))`:                                       false,
		`data.metadata.name.startsWith("build") && !data.metadata.name.endsWith("8")`:     true,
		`data.metadata.name.matches("^b.*[0-9]$")`:                                        true,
		`data.metadata.name.matches("^u")`:                                                false,
		`data.metadata.name.startsWith("b_ild")`:                                          false, // no pattern
		`data.metadata.generation == 3`:                                                   true,
		`data.metadata.generation > 2.5 && data.metadata.generation < 4`:                  true,
		`data.metadata.generation == "3"`:                                                 true, // ->> gives a text
		`data.metadata.labels["tier"] == "5"`:                                             true,
		`data.metadata.generation + 1 == 4`:                                               true,
		`7 / 2 == 3 && 7 % 2 == 1 && 2 - 3 == -1`:                                         true,
		`1 / 0 == 1 || true`:                                                              true,
		`data.spec.paused == false`:                                                       true,
		`data.spec.text`:                                                                  true,
		`!data.spec.paused`:                                                               true,
		`data.status.completionTime > timestamp("2026/11/30T10:00:00.000Z")`:              true,
		`timestamp("2026-11-30T10:05:00Z") < data.status.completionTime`:                  false,
		`timestamp("2026-11-30T11:05:00+01:00") == timestamp(data.status.completionTime)`: true,
		`data.status.completionTime > data.status.startTime`:                              true,
		`data.status.completionTime - data.status.startTime > duration("5m")`:             true,
		`data.status.completionTime - data.status.startTime > duration("8m")`:             false,
		`data.status.never > timestamp("2026-11-30T10:00:00Z")`:                           false,
		`data.metadata.name > timestamp("2026-11-30T10:00:00Z")`:                          false, // which it cannot be compared with
		`data.status.completionTime.getDate() == 30`:                                      true,
		`data.status.completionTime.getDayOfMonth() == 29`:                                true,
		`data.status.completionTime.getDayOfWeek() == 1`:                                  true,
		`data.status.completionTime.getDayOfYear() == 333`:                                true,
		`data.status.completionTime.getFullYear() >= 2026`:                                true,
		`create_time < update_time`:                                                       true,
		`create_time > timestamp("2026-11-30T09:57:00Z")`:                                 false,
		// cel-go's own.
		`has(data.spec.timeout)`:                                  true,
		`has(data.spec.nowhere)`:                                  false,
		`size(data.metadata.labels) == 2`:                         true,
		`data.status.conditions.exists(c, c.type == "Succeeded")`: true,
		`data.status.nothing.exists(c, c.type == "Succeeded")`:    false,
		`!data.status.nothing.exists(c, c.type == "Succeeded")`:   false,
		`data.kind == "TaskRun" ? parent == "shop" : false`:       true,
		`"app" in data.metadata.labels`:                           true,
		// Nothing that a filter says is ever more than a value.
		`name == "' OR 1=1 --"`:                       false,
		`data.metadata.labels["x' OR '1'='1"] == "1"`: false,
	} {
		t.Run(text, func(t *testing.T) {
			f, err := filter.Parse(filter.Records, text)
			if err != nil {
				t.Fatal(err)
			}
			got, err := f.Must(t.Context(), record{values: recordValues, data: sample})
			if err != nil || got != want {
				t.Errorf("got %v, %v; want %v", got, err, want)
			}
		})
	}
}

func TestResults(t *testing.T) {
	r := record{values: map[string]any{
		"parent": "shop", "uid": "u1", "annotations": map[string]string{"repo": "tektoncd/results"}, "summary.type": "tekton.dev/v1.PipelineRun", "summary.status": int64(2),
		"summary.start_time": time.Date(2026, 11, 30, 10, 0, 0, 0, time.UTC), "summary.record": "shop/results/a/records/b",
	}}
	for text, want := range map[string]bool{
		`parent.endsWith("op") && uid == "u1"`:                     true,
		`annotations["repo"] == "tektoncd/results"`:                true,
		`"tektoncd/results" == annotations["repo"]`:                true,
		`annotations["repo"].startsWith("tektoncd")`:               true,
		`annotations["none"] == "x"`:                               false,
		`!(annotations["none"] == "x")`:                            true, // the map is another one
		`annotations["none"] != "x"`:                               false,
		`summary.status == FAILURE`:                                true,
		`summary.status == CANCELLED || summary.status == TIMEOUT`: false,
		`summary.status != SUCCESS`:                                true,
		`summary.type == PIPELINE_RUN`:                             true,
		`summary.record == "shop/results/a/records/b"`:             true,
		`summary.start_time > timestamp("2026-11-30T09:00:00Z")`:   true,
		`summary.end_time > timestamp("2026-11-30T09:00:00Z")`:     false,
		`!(summary.end_time > timestamp("2026-11-30T09:00:00Z"))`:  false,
	} {
		f, err := filter.Parse(filter.Results, text)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := f.Must(t.Context(), r); err != nil || got != want {
			t.Errorf("%s: got %v, %v; want %v", text, got, err, want)
		}
	}
}

func TestForbiddenFilters(t *testing.T) {
	for text, want := range map[string]string{
		`name`:                              "expected boolean expression, but got string",
		`name ==`:                           "Syntax error",
		`nobody == "x"`:                     "undeclared reference",
		`annotations["a"] == "b"`:           "undeclared reference", // of Results
		`name == 5`:                         "no matching overload",
		`name.matches("(")`:                 "missing closing",
		`timestamp("soon") < create_time`:   "is not a timestamp",
		`duration("soon") > duration("1s")`: "is not a duration",
		strings.Repeat(`name == "a" || `, 2000) + "true": "bytes",
	} {
		if _, err := filter.Parse(filter.Records, text); !errors.Is(err, filter.ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: got %v, want %q", text, err, want)
		}
	}
}

// A macro within macros is bounded for each record.
func TestCost(t *testing.T) {
	long := `{"items":[` + strings.TrimSuffix(strings.Repeat("1,", 400), ",") + `]}`
	f, err := filter.Parse(filter.Records, `data.items.all(a, data.items.all(b, data.items.all(c, a + b + c > 0)))`)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Must(t.Context(), record{data: long}); !errors.Is(err, filter.ErrCost) {
		t.Errorf("got %v, want ErrCost", err)
	}
}

func TestNeeds(t *testing.T) {
	for text, want := range map[string]string{
		`data.metadata.labels["a"] == "b"`:                 "data/metadata/labels/a [b]",
		`data_type == TASK_RUN && "x" == name`:             "data_type [tekton.dev/v1.TaskRun], name [x]",
		`name == "a" || name == "b" || name in ["c", "a"]`: "name [a b c]",
		`name == "a" || parent == "b"`:                     "",
		`!(name == "a")`:                                   "",
		`name != "a"`:                                      "",
		`(data_type == "x" || data_type == "y") && data.metadata.labels["a"] in ["b"]`: "data_type [x y], data/metadata/labels/a [b]",
	} {
		f, err := filter.Parse(filter.Records, text)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, n := range f.Needs() {
			got = append(got, fmt.Sprint(strings.ReplaceAll(n.Key(), "\x00", "/"), " ", n.Values))
		}
		if strings.Join(got, ", ") != want {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
}

func TestBetween(t *testing.T) {
	at := func(minute int) time.Time { return time.Date(2026, 11, 30, 10, minute, 0, 0, time.UTC) }
	for text, want := range map[string][2]time.Time{
		`create_time > timestamp("2026-11-30T10:01:00Z")`:                                                                    {at(1)},
		`timestamp("2026-11-30T10:01:00Z") >= create_time`:                                                                   {1: at(1)},
		`create_time == timestamp("2026-11-30T10:01:00Z")`:                                                                   {at(1), at(1)},
		`create_time >= timestamp("2026-11-30T10:01:00Z") && create_time < timestamp("2026-11-30T10:09:00Z") && name == "x"`: {at(1), at(9)},
		`create_time != timestamp("2026-11-30T10:01:00Z")`:                                                                   {},
		`create_time > timestamp("2026-11-30T10:01:00Z") || name == "x"`:                                                     {},
		`!(create_time > timestamp("2026-11-30T10:01:00Z"))`:                                                                 {},
		`update_time > timestamp("2026-11-30T10:01:00Z")`:                                                                    {},
	} {
		f, err := filter.Parse(filter.Records, text)
		if err != nil {
			t.Fatal(err)
		}
		from, to := f.Between("create_time")
		if !from.Equal(want[0]) || !to.Equal(want[1]) {
			t.Errorf("%s: got %v to %v, want %v", text, from, to, want)
		}
	}
}

// generator makes filters, of which cel-go and this package must agree where cel-go has an answer.
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
	return g.pick(`name`, `parent`, `data_type`, `data.metadata.name`, `data.metadata.labels["app"]`, `data.metadata.labels["no"]`, `data.kind`, `data.nothing.at.all`,
		`data.status.conditions[0].status`, `data.status.conditions[7].status`, `data["metadata"]["labels"]["tier"]`)
}

func (g generator) literal() string {
	return g.pick(`"3a1f"`, `"shop"`, `"cart"`, `"5"`, `"True"`, `"build-7"`, `""`, `"tekton.dev/v1.TaskRun"`, `"'; --"`, `"a"`)
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
		return g.text() + g.pick(".contains(", ".startsWith(", ".endsWith(", ".matches(") + g.pick(`"a"`, `"art"`, `"T"`, `"-7"`, `"^b"`) + ")"
	case 4:
		return g.pick("data.metadata.generation", "data.metadata.nothing") + g.pick(" == ", " != ", " > ", " <= ") + g.pick("3", "2", "4")
	case 5:
		return g.pick("create_time", "update_time") + g.pick(" < ", " > ", " == ") + `timestamp("2026-11-30T10:00:00Z")`
	}
	return g.pick("true", "false", "has(data.spec.timeout)", "has(data.spec.nowhere)", `size(data.metadata.labels) == 2`)
}

// FuzzAgainstCEL has filters made from a number. Where cel-go has an answer it is this package's; and whatever is not known of a record, what
// matches may match.
func FuzzAgainstCEL(f *testing.F) {
	for seed := range uint64(300) {
		f.Add(seed)
	}
	env, err := cel.NewEnv(cel.Variable("parent", cel.StringType), cel.Variable("result_name", cel.StringType), cel.Variable("name", cel.StringType),
		cel.Variable("data_type", cel.StringType), cel.Variable("data", cel.DynType), cel.Variable("create_time", cel.TimestampType),
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

// evaluate is cel-go's answer; none where a field is not there.
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
