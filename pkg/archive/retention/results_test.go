package retention_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/indelible-ci/indelible/pkg/archive/index/indextest"
	"github.com/indelible-ci/indelible/pkg/archive/object"
	"github.com/indelible-ci/indelible/pkg/archive/retention"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// written stores what tools wrote, some days before now.
func (p *place) written(t *testing.T, days int, all ...object.Object) *object.Objects {
	t.Helper()
	at := now.Add(-time.Duration(days) * 24 * time.Hour)
	o := object.New(p.Archive, indextest.Cluster, func() time.Time { return at })
	for _, one := range all {
		created, err := o.Create(t.Context(), one)
		if err == nil {
			err = errors.Join(os.Chtimes(p.Path(created.Key), at, at),
				p.index.PutObjects(t.Context(), string(indextest.Cluster), created))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return o
}

func result(parent, name, data string) object.Object {
	return object.Object{Kind: object.Result, Parent: parent, Result: name, Data: json.RawMessage(data)}
}

func record(parent, name, id, data string) object.Object {
	return object.Object{Kind: object.Record, Parent: parent, Result: name, ID: id, Type: "example.dev/v1.Report",
		Data: json.RawMessage(data)}
}

func selector(t *testing.T, text string) labels.Selector {
	t.Helper()
	s, err := labels.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Policies applied to Results that tools wrote. None of their namespaces is one of the runs'.
func TestApplyToResultsOfTools(t *testing.T) {
	const week = 7 * 24 * time.Hour
	for name, test := range map[string]struct {
		days    int
		objects []object.Object
		policy  retention.Policy
		want    []string
	}{
		"delete one that is old, with its records": {
			9, []object.Object{result("tools", "a", `{}`), record("tools", "a", "r", `1`)},
			retention.Policy{After: week}, []string{"deleted a"},
		},
		"delete records without a Result": {
			9, []object.Object{record("tools", "a", "r", `1`)}, retention.Policy{After: week}, []string{"deleted a"},
		},
		"keep one that is young": {
			6, []object.Object{result("tools", "a", `{}`)}, retention.Policy{After: week}, nil,
		},
		"keep another namespace's": {
			9, []object.Object{result("other", "a", `{}`)},
			retention.Policy{After: week, Namespaces: []string{"tools"}}, nil,
		},
		"delete a namespace's": {
			9, []object.Object{result("tools", "a", `{}`)}, retention.Policy{Namespaces: []string{"to*"}},
			[]string{"deleted a"},
		},
		"delete what failed, by the summary": {
			9, []object.Object{result("tools", "a", `{"summary":{"status":"TIMEOUT"}}`),
				result("tools", "b", `{"summary":{"status":"SUCCESS"}}`),
			},
			retention.Policy{Status: []string{retention.Failed}}, []string{"deleted a"}},
		"keep what says no outcome": {
			9, []object.Object{result("tools", "a", `{}`)},
			retention.Policy{Status: []string{retention.Failed, retention.Succeeded, retention.Cancelled}}, nil,
		},
		"delete by the labels of the record in the summary": {9, []object.Object{
			result("tools", "a", `{"summary":{"record":"tools/results/a/records/r"}}`),
			record("tools", "a", "r", `{"metadata":{"labels":{"app":"x"}}}`),
			result("tools", "b", `{"summary":{"record":"tools/results/b/records/s"}}`),
			record("tools", "b", "r", `{"metadata":{"labels":{"app":"x"}}}`),
		}, retention.Policy{Selector: selector(t, "app=x")}, []string{"deleted a"}},
		"keep without labels what a selector is about": {
			9, []object.Object{result("tools", "a", `{}`)}, retention.Policy{Selector: selector(t, "app!=x")}, nil,
		},
		"keep what an annotation of the Result holds": {
			9, []object.Object{result("tools", "a", `{"annotations":{"indelible.dev/hold":"audit"}}`)},
			retention.Policy{After: week}, nil,
		},
		"keep what an annotation of one record of it holds": {9, []object.Object{result("tools", "a", `{}`),
			record("tools", "a", "r", `{"metadata":{"annotations":{"indelible.dev/hold":"audit"}}}`)},
			retention.Policy{After: week}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t, nil)
			o := p.written(t, test.days, test.objects...)
			test.policy.Name = "p"
			if test.policy.Namespaces == nil {
				test.policy.Namespaces = []string{"tools"}
			}
			for _, dry := range []bool{true, false} {
				var got []string
				options := p.options([]retention.Policy{test.policy}, &got)
				options.DryRun = dry
				totals, err := retention.Apply(t.Context(), options)
				if err != nil {
					t.Fatal(err)
				}
				if slices.Sort(got); !slices.Equal(got, test.want) || totals.Results != len(test.want) {
					t.Errorf("dry run %t: got %q and %+v, want %q", dry, got, totals, test.want)
				}
			}
			left := 0
			for _, err := range o.List(t.Context()) {
				if err != nil {
					t.Fatal(err)
				}
				left++
			}
			if (left == len(test.objects)) != (len(test.want) == 0) {
				t.Errorf("%d of %d objects are left", left, len(test.objects))
			}
		})
	}
}

// A Result stays as long as the archive has runs of it.
func TestResultsStayWithTheirRuns(t *testing.T) {
	p := newPlace(t, nil)
	run := p.rows[0].Commit.Run
	o := p.written(t, 9, result(run.Namespace, run.Result, `{}`))
	var got []string
	policy := retention.Policy{Name: "p", After: time.Hour, Namespaces: []string{run.Namespace},
		Status: []string{retention.Cancelled}}
	byAge := retention.Policy{Name: "age", After: 24 * time.Hour, Namespaces: []string{run.Namespace}}
	if _, err := retention.Apply(t.Context(), p.options([]retention.Policy{policy}, &got)); err != nil || len(got) > 0 {
		t.Errorf("%q, %v", got, err)
	}
	if err := o.Hold(t.Context(), run.Namespace, run.Result, object.HoldText{Reason: "audit", At: now}); err != nil {
		t.Fatal(err)
	}
	if _, err := retention.Apply(t.Context(), p.options([]retention.Policy{byAge}, &got)); err != nil ||
		!slices.Contains(got, "kept "+run.Result) {
		t.Errorf("%q, %v", got, err)
	}
	if err := o.Unhold(t.Context(), run.Namespace, run.Result); err != nil {
		t.Fatal(err)
	}
	p.behind = 9 * 24 * time.Hour
	if got = nil; true {
		if _, err := retention.Apply(t.Context(), p.options([]retention.Policy{byAge}, &got)); err != nil ||
			!slices.Contains(got, "kept "+run.Result) {
			t.Errorf("by the store's clock: %q, %v", got, err)
		}
	}
	p.behind, got = 0, nil
	if left := p.objectRows(t); left != 1 {
		t.Errorf("%d rows of the index, want 1", left)
	}
	if _, err := retention.Apply(t.Context(), p.options([]retention.Policy{byAge}, &got)); err != nil ||
		!slices.Contains(got, "deleted "+run.Result) {
		t.Errorf("%q, %v", got, err)
	}
	if left := p.objectRows(t); left != 0 {
		t.Errorf("%d rows of the index are left", left)
	}
}

func (p *place) objectRows(t *testing.T) (n int) {
	t.Helper()
	for _, err := range p.index.Objects(t.Context(), string(indextest.Cluster)) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

// Results whose namespace no policy matches are listed but not read, if the index knows their
// parents.
func TestResultsThatNoPolicyIsAboutAreNotRead(t *testing.T) {
	p := newPlace(t, nil)
	p.written(t, 9, result("other", "a", `{}`), record("other", "a", "r", `1`), result("tools", "b", `{}`),
		result("zoo", "c", `{}`))
	opened := &opening{Store: p}
	var got []string
	options := p.options([]retention.Policy{{Name: "p", After: time.Hour, Namespaces: []string{"tools"}}}, &got)
	options.Store, options.DryRun = opened, true
	if _, err := retention.Apply(t.Context(), options); err != nil || !slices.Equal(got, []string{"deleted b"}) ||
		opened.objects != 1 {
		t.Errorf("%q, %v, %d objects read; want one", got, err, opened.objects)
	}
}

type opening struct {
	store.Store
	objects int
}

func (o *opening) Open(ctx context.Context, key string) (io.ReadCloser, error) {
	if strings.Contains(key, "/objects/") {
		o.objects++
	}
	return o.Store.Open(ctx, key)
}
