package filter_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/query/filter"
)

// record is an Env of a record. Fields in hidden are unknown.
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
	"create_time": time.Date(2026, 11, 30, 9, 57, 0, 0, time.UTC),
	"update_time": time.Date(2026, 11, 30, 10, 6, 0, 0, time.UTC),
}

// The meaning of Tekton Results' translation to SQL, from its own examples and Postgres' rules for
// null.
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
		`data.metadata.annotations.contains("{\"b\": \"2\", \"aa\": \"1\"}")`:             true, // shorter keys first
		`!(data.metadata.annotations.contains("cart"))`:                                   true,
		`!(data.metadata.nothing.contains("cart"))`:                                       false,
		`data.metadata.name.startsWith("build") && !data.metadata.name.endsWith("8")`:     true,
		`data.metadata.name.matches("^b.*[0-9]$")`:                                        true,
		`data.metadata.name.matches("^u")`:                                                false,
		`data.metadata.name.startsWith("b_ild")`:                                          false, // not a valid pattern
		`data.metadata.generation == 3`:                                                   true,
		`data.metadata.generation > 2.5 && data.metadata.generation < 4`:                  true,
		`data.metadata.generation == "3"`:                                                 true, // ->> returns a text
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
		`data.metadata.name > timestamp("2026-11-30T10:00:00Z")`:                          false, // not comparable
		`data.status.completionTime.getDate() == 30`:                                      true,
		`data.status.completionTime.getDayOfMonth() == 29`:                                true,
		`data.status.completionTime.getDayOfWeek() == 1`:                                  true,
		`data.status.completionTime.getDayOfYear() == 333`:                                true,
		`data.status.completionTime.getFullYear() >= 2026`:                                true,
		`create_time < update_time`:                                                       true,
		`create_time > timestamp("2026-11-30T09:57:00Z")`:                                 false,
		// Evaluated by cel-go.
		`has(data.spec.timeout)`:                                  true,
		`has(data.spec.nowhere)`:                                  false,
		`size(data.metadata.labels) == 2`:                         true,
		`data.status.conditions.exists(c, c.type == "Succeeded")`: true,
		`data.status.nothing.exists(c, c.type == "Succeeded")`:    false,
		`!data.status.nothing.exists(c, c.type == "Succeeded")`:   false,
		`data.kind == "TaskRun" ? parent == "shop" : false`:       true,
		`"app" in data.metadata.labels`:                           true,
		// A filter's content is never more than a value.
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
		"parent": "shop", "uid": "u1", "annotations": map[string]string{"repo": "tektoncd/results"},
		"summary.type": "tekton.dev/v1.PipelineRun", "summary.status": int64(2),
		"summary.start_time": time.Date(2026, 11, 30, 10, 0, 0, 0, time.UTC),
		"summary.record":     "shop/results/a/records/b",
	}}
	for text, want := range map[string]bool{
		`parent.endsWith("op") && uid == "u1"`:                     true,
		`annotations["repo"] == "tektoncd/results"`:                true,
		`"tektoncd/results" == annotations["repo"]`:                true,
		`annotations["repo"].startsWith("tektoncd")`:               true,
		`annotations["none"] == "x"`:                               false,
		`!(annotations["none"] == "x")`:                            true, // the map differs
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
		if _, err := filter.Parse(filter.Records, text); !errors.Is(err, filter.ErrInvalid) ||
			!strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: got %v, want %q", text, err, want)
		}
	}
}

// Nested macros are bounded per record.
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
