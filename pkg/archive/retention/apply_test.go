package retention_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/indelible-ci/indelible/pkg/archive/catalogue"
	"github.com/indelible-ci/indelible/pkg/archive/fsck"
	"github.com/indelible-ci/indelible/pkg/archive/index"
	"github.com/indelible-ci/indelible/pkg/archive/index/indextest"
	"github.com/indelible-ci/indelible/pkg/archive/layout"
	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/retention"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// now is ten days after the runs, which are named by their number.
var now = indextest.Created.Add(10 * 24 * time.Hour)

var everything = []retention.Policy{{Name: "all", After: time.Hour}}

type place struct {
	*indextest.Archive
	// behind is how far the store's clock is behind.
	behind time.Duration
	// stale: the index does not know yet what the test did.
	stale bool
	index index.Index
	rows  []index.Row
	keys  []string
}

// Stat uses the test's clock.
func (p *place) Stat(ctx context.Context, key string) (store.Info, error) {
	info, err := p.Archive.Stat(ctx, key)
	info.Modified = now.Add(-p.behind)
	return info, err
}

// newPlace returns an archive of six runs, with segments and an index.
func newPlace(t *testing.T, change func(n int, row *index.Row)) *place {
	t.Helper()
	p := &place{Archive: indextest.NewArchive(t)}
	var err error
	if p.index, err = index.Open(t.Context(), "sqlite://"+filepath.Join(t.TempDir(), "index.db")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.index.Close() })
	for n := range 6 {
		row, key := p.Add(t, n, func(row *index.Row) {
			row.Commit.Run.Name = fmt.Sprint(n)
			if n > 2 {
				indextest.Apart(row)
			}
			if change != nil {
				change(n, row)
			}
		})
		p.rows, p.keys = append(p.rows, row), append(p.keys, key)
	}
	if err := p.index.Put(t.Context(), p.rows...); err != nil {
		t.Fatal(err)
	}
	if err := p.index.SetComplete(t.Context(), string(indextest.Cluster), true); err != nil {
		t.Fatal(err)
	}
	if _, err := catalogue.Compact(t.Context(),
		catalogue.Options{Store: p, Cluster: indextest.Cluster, Now: now}); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *place) options(policies []retention.Policy, report *[]string) retention.Options {
	return retention.Options{
		Store: p, Index: p.index, Cluster: indextest.Cluster, Policies: policies, Now: now,
		Report: func(o retention.Outcome) {
			if (o.Action == retention.Deleted) != (o.Policy != "") || (o.Policy == "") != (o.Reason != "") {
				panic(fmt.Sprintf("%+v says not why", o))
			}
			*report = append(*report, fmt.Sprintf("%s %s", o.Action, o.Run.Name))
		},
	}
}

// left returns the names of the runs in the bucket, the index and the segments, which must be the
// same in all three.
func (p *place) left(t *testing.T) (names []string) {
	t.Helper()
	parts, want := p.Keys(t, indextest.Cluster.Parts()), []string{}
	for _, key := range p.Keys(t, indextest.Cluster.Commits()) {
		c, err := manifest.Read(t.Context(), p, key)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, c.Run.Name)
		for i := range c.Parts {
			if c.Parts[i].Key != "" {
				want = append(want, c.Parts[i].Key)
			}
		}
		if _, err := p.index.Get(t.Context(), c.Cluster, c.Run.UID); err != nil {
			t.Error(err)
		}
	}
	slices.Sort(want)
	if !slices.Equal(parts, want) {
		t.Errorf("parts %q, want %q", parts, want)
	}
	rows := 0
	for _, err := range p.index.Keys(t.Context(), string(indextest.Cluster), "") {
		if err != nil {
			t.Fatal(err)
		}
		rows++
	}
	if rows != len(names) {
		t.Errorf("%d rows, want %d", rows, len(names))
	}
	for _, key := range p.Keys(t, indextest.Cluster.Segments()) {
		stale, err := catalogue.Stale(t.Context(), p, key,
			func(key string) bool { _, err := os.Stat(p.Path(key)); return err == nil })
		if err != nil || stale {
			t.Errorf("segment %s has data of runs that were deleted, %v", key, err)
		}
	}
	slices.Sort(names)
	return names
}

func TestApply(t *testing.T) {
	build, err := labels.Parse("build=yes")
	if err != nil {
		t.Fatal(err)
	}
	down := errors.New("the API server is down")
	deleted := func(names ...string) func(context.Context) (map[string]time.Time, error) {
		gone := map[string]time.Time{}
		for _, name := range names {
			gone[name] = now.Add(-48 * time.Hour)
		}
		return func(context.Context) (map[string]time.Time, error) { return gone, nil }
	}
	nobodyKnows := func(context.Context) (map[string]time.Time, error) { return nil, down }
	label := func(n int, row *index.Row) {
		if n%2 == 1 {
			row.Record = []byte(strings.Replace(string(row.Record), `"labels":{`, `"labels":{"build":"yes",`, 1))
		}
	}
	annotate := func(n int, row *index.Row) {
		if n == 4 {
			row.Record = []byte(strings.Replace(string(row.Record), `"annotations":{`,
				`"annotations":{"indelible.dev/hold":"audit",`, 1))
		}
	}
	for name, test := range map[string]struct {
		policies []retention.Policy
		change   func(n int, row *index.Row)
		options  func(*retention.Options)
		report   string
		left     string
		err      error
	}{
		"delete nothing without policies": {left: "0 1 2 3 4 5"},
		"delete all that is old": {
			policies: everything, report: "deleted 0, deleted 1, deleted 2, deleted 3, deleted 4, deleted 5",
		},
		"keep what is young": {
			policies: []retention.Policy{{Name: "p", After: 11 * 24 * time.Hour}}, left: "0 1 2 3 4 5",
		},
		"delete in one namespace": {
			policies: []retention.Policy{{Name: "p", Namespaces: []string{"team-3"}}}, report: "deleted 3",
			left: "0 1 2 4 5",
		},
		"delete by label": {
			policies: []retention.Policy{{Name: "p", Selector: build}}, change: label,
			report: "deleted 1, deleted 3, deleted 5", left: "0 2 4",
		},
		"keep what an annotation holds": {
			policies: everything, change: annotate,
			report: "deleted 0, deleted 1, deleted 2, deleted 3, deleted 5, kept 4", left: "4",
		},
		"say what would be deleted": {
			policies: everything, options: func(o *retention.Options) { o.DryRun = true },
			report: "deleted 0, deleted 1, deleted 2, deleted 3, deleted 4, deleted 5", left: "0 1 2 3 4 5",
		},
		"delete where the namespace is gone": {
			policies: []retention.Policy{{Name: "p", DeletedNamespaces: true}},
			options:  func(o *retention.Options) { o.Deleted = deleted("team-2", "team-3", "team-5") },
			report:   "deleted 2, deleted 3, deleted 5", left: "0 1 4",
		},
		"keep where nobody says what is gone": {
			policies: []retention.Policy{{Name: "p", DeletedNamespaces: true}},
			options:  func(o *retention.Options) { o.Deleted = nobodyKnows }, left: "0 1 2 3 4 5", err: down,
		},
		"keep where nothing is known to be gone": {
			policies: []retention.Policy{{Name: "p", DeletedNamespaces: true}},
			options:  func(o *retention.Options) { o.Deleted = deleted() }, left: "0 1 2 3 4 5",
		},
		"keep where nobody can be asked": {
			policies: []retention.Policy{{Name: "p", DeletedNamespaces: true}}, left: "0 1 2 3 4 5", err: errAny,
		},
		"delete by the other policies all the same": {
			policies: []retention.Policy{
				{Name: "p", DeletedNamespaces: true}, {Name: "q", Namespaces: []string{"team-1"}},
			},
			options: func(o *retention.Options) { o.Deleted = nobodyKnows }, report: "deleted 1", left: "0 2 3 4 5",
			err: down,
		},
		"refuse a policy that is true of everything": {
			policies: []retention.Policy{{Name: "p"}}, left: "0 1 2 3 4 5", err: errAny,
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t, test.change)
			var report []string
			o := p.options(test.policies, &report)
			if test.options != nil {
				test.options(&o)
			}
			totals, err := retention.Apply(t.Context(), o)
			if (err == nil) != (test.err == nil) || !errors.Is(test.err, errAny) && !errors.Is(err, test.err) {
				t.Errorf("got error %v, want %v", err, test.err)
			}
			slices.Sort(report)
			if got := strings.Join(report, ", "); got != test.report {
				t.Errorf("got %q, want %q", got, test.report)
			}
			if totals.Deleted != strings.Count(test.report, "deleted") ||
				totals.Kept != strings.Count(test.report, "kept") || (totals.Bytes > 0) != (totals.Deleted > 0) {
				t.Errorf("got %+v for %q", totals, test.report)
			}
			if got := strings.Join(p.left(t), " "); got != test.left {
				t.Errorf("left %q, want %q", got, test.left)
			}
		})
	}
}

// Anybody can annotate runs, as many as they like, and they stay for ever: every hour would read
// each from the archive.
func TestRunsThatAnAnnotationHoldsAreNotRead(t *testing.T) {
	p := newPlace(t, func(_ int, row *index.Row) {
		row.Record = []byte(strings.Replace(string(row.Record), `"annotations":{`,
			`"annotations":{"indelible.dev/hold":"audit",`, 1))
	})
	var report []string
	o := p.options(everything, &report)
	o.Store = nothingToRead{p}
	if _, err := retention.Apply(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if want := "kept 0, kept 1, kept 2, kept 3, kept 4, kept 5"; strings.Join(slices.Sorted(slices.Values(report)),
		", ") != want {
		t.Errorf("got %q, want %q", report, want)
	}
}

var errAny = errors.New("any")

// The index only proposes; the archive decides.
func TestApplyReadsTheArchive(t *testing.T) {
	p := newPlace(t, nil)
	lie := *p.rows[2].Commit
	lie.Run.Namespace = "elsewhere"
	if err := p.index.Put(t.Context(), index.Row{Commit: &lie, Record: p.rows[2].Record}); err != nil {
		t.Fatal(err)
	}
	p.Cut(t, p.keys[3])
	p.Cut(t, p.keys[4])
	policies := []retention.Policy{{Name: "p", Namespaces: []string{"elsewhere", "team-3", "team-4", "team-5"}}}
	var report []string
	totals, err := retention.Apply(t.Context(), p.options(policies, &report))
	slices.Sort(report)
	if want := "damaged 3, damaged 4, deleted 5, kept 2"; err != nil || strings.Join(report, ", ") != want ||
		totals.Damaged != 2 {
		t.Errorf("got %q, %+v, %v; want %q", report, totals, err, want)
	}
	for _, i := range []int{2, 3, 4} {
		if _, err := os.Stat(p.Path(p.keys[i])); err != nil {
			t.Error(err)
		}
	}
}

func TestHolds(t *testing.T) {
	p := newPlace(t, nil)
	run := p.rows[1].Commit.ID()
	text := retention.HoldText{Reason: "case 12", By: "legal", At: now}
	if err := retention.Hold(t.Context(), p, indextest.Cluster, run, text); err != nil {
		t.Fatal(err)
	}
	later := text
	later.At = now.Add(time.Second)
	if err := retention.Hold(t.Context(), p, indextest.Cluster, run, later); !errors.Is(err, store.ErrExists) {
		t.Errorf("again: got %v, want ErrExists", err)
	}
	if got, err := retention.Held(t.Context(), p, indextest.Cluster, run); err != nil || got == nil || *got != text {
		t.Errorf("got %+v, %v; want %+v", got, err, text)
	}
	// The content of a hold does not matter.
	key, err := indextest.Cluster.Hold(p.rows[2].Commit.ID())
	if err == nil {
		err = p.Create(t.Context(), key, strings.NewReader("not JSON"))
	}
	if err != nil {
		t.Fatal(err)
	}
	none := layout.Run{Created: indextest.Created, UID: "nobody"}
	if err := retention.Hold(t.Context(), p, indextest.Cluster, none, text); !errors.Is(err, store.ErrNotExist) {
		t.Errorf("a run that is not there: got %v, want ErrNotExist", err)
	}
	if held, err := retention.Held(t.Context(), p, indextest.Cluster, none); err != nil || held != nil {
		t.Errorf("a run that is not there: %+v, %v", held, err)
	}
	var report []string
	if _, err := retention.Apply(t.Context(), p.options(everything, &report)); err != nil {
		t.Fatal(err)
	}
	if got := p.left(t); !slices.Equal(got, []string{"1", "2"}) {
		t.Errorf("left %q, want what is held", got)
	}
	if err := retention.Unhold(t.Context(), p, indextest.Cluster, run); err != nil {
		t.Fatal(err)
	}
	if _, err := retention.Apply(t.Context(), p.options(everything, &report)); err != nil {
		t.Fatal(err)
	}
	if got := p.left(t); !slices.Equal(got, []string{"2"}) {
		t.Errorf("left %q, want what is still held", got)
	}
}

// hooked calls a function before each deletion. If that returns an error, the deletion fails with
// it, before or after deleting.
type hooked struct {
	store.Store
	before   func(key string) error
	persists bool
}

func (h *hooked) Delete(ctx context.Context, key string) error {
	err := h.before(key)
	if err == nil || h.persists {
		err = errors.Join(err, h.Store.Delete(ctx, key))
	}
	return err
}

// If retention is killed at any of its deletions, it leaves only harmless objects, which the next
// Apply and Sweep delete.
func TestApplyDiesAnywhere(t *testing.T) {
	died := errors.New("killed")
	for _, persists := range []bool{false, true} {
		for boundary := int64(0); ; boundary++ {
			p := newPlace(t, nil)
			var report []string
			o := p.options([]retention.Policy{{Name: "p", Namespaces: []string{"team-1", "team-4"}}}, &report)
			left := atomic.Int64{}
			left.Store(boundary)
			o.Store = &hooked{Store: p, persists: persists, before: func(string) error {
				if left.Add(-1) < 0 {
					return died
				}
				return nil
			}}
			_, err := retention.Apply(t.Context(), o)
			wantNoDamage(t, p)
			if _, err := retention.Apply(t.Context(), p.options(o.Policies, &report)); err != nil {
				t.Fatal(err)
			}
			if _, err := retention.Sweep(t.Context(),
				retention.SweepOptions{Store: p, Cluster: indextest.Cluster, Now: time.Now().Add(25 * time.Hour),
					Grace: 24 * time.Hour}); err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(p.left(t), " "); got != "0 2 3 5" {
				t.Errorf("persists %v, boundary %d: left %q", persists, boundary, got)
			}
			later := p.options(o.Policies, &report)
			later.Now = time.Now().Add(25 * time.Hour)
			if _, err := retention.Apply(t.Context(), later); err != nil {
				t.Fatal(err)
			}
			if left := p.Keys(t, indextest.Cluster.Deletions()); len(left) > 0 {
				t.Errorf("persists %v, boundary %d: left %q", persists, boundary, left)
			}
			if err == nil {
				if boundary < 6 {
					t.Errorf("only %d deletions", boundary)
				}
				break
			}
			if !errors.Is(err, died) {
				t.Fatal(err)
			}
		}
	}
}

func wantNoDamage(t *testing.T, p *place) {
	t.Helper()
	_, err := fsck.Check(t.Context(),
		fsck.Options{Store: p, Cluster: indextest.Cluster, Grace: time.Hour, Now: time.Now(),
			Found: func(f fsck.Finding) {
				if f.Damage() {
					t.Error(f)
				}
			}})
	if err != nil {
		t.Fatal(err)
	}
}

func TestSweep(t *testing.T) {
	const grace = 48 * time.Hour
	for name, test := range map[string]struct {
		do    func(t *testing.T, p *place)
		after time.Duration
		want  retention.SweepTotals
	}{
		"leave a whole archive alone": {after: 99 * grace},
		"delete parts that no commit names": {
			do: func(t *testing.T, p *place) { p.uncommit(t, 3) }, after: grace + time.Minute,
			want: retention.SweepTotals{Parts: 2},
		},
		"leave parts that may be an archiver's at work": {
			do: func(t *testing.T, p *place) { p.uncommit(t, 3) }, after: grace - time.Minute,
		},
		"leave what a commit may name that nobody can read": {
			do: func(t *testing.T, p *place) { p.Cut(t, p.keys[2]) }, after: 99 * grace,
		},
		"delete those of a run that the index has not heard is gone only when it has": {do: func(t *testing.T,
			p *place) {
			p.uncommit(t, 3)
			p.stale = true
		}, after: grace + time.Minute, want: retention.SweepTotals{Parts: 2}},
		"delete parts of another attempt than the one that committed": {do: func(t *testing.T, p *place) {
			other, err := indextest.Cluster.Part(p.rows[0].Commit.ID(), "anotherwriter", "record.json")
			if err == nil {
				err = p.Create(t.Context(), other, strings.NewReader("x"))
			}
			if err != nil {
				t.Fatal(err)
			}
		}, after: grace + time.Minute, want: retention.SweepTotals{Parts: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t, nil)
			if test.do != nil {
				test.do(t, p)
			}
			o := retention.SweepOptions{Store: p, Index: p.index, Cluster: indextest.Cluster,
				Now: time.Now().Add(test.after), Grace: grace}
			if p.stale {
				if got, err := retention.Sweep(t.Context(), o); err != nil || got.Parts != 0 {
					t.Errorf("by an index that is behind: %+v, %v", got, err)
				}
			}
			if _, err := index.Sync(t.Context(),
				index.SyncOptions{Store: p, Index: p.index, Cluster: indextest.Cluster}); err != nil {
				t.Fatal(err)
			}
			for _, dry := range []bool{true, false} {
				if !dry && test.after > 2*grace {
					o.Index = nil // the index makes it cheap, not correct
				}
				reported := 0
				o.DryRun, o.Report = dry, func(string) { reported++ }
				got, err := retention.Sweep(t.Context(), o)
				if (got.Bytes > 0) != (reported > 0) || reported != got.Parts {
					t.Errorf("%d bytes of %d objects", got.Bytes, reported)
				}
				if got.Bytes = 0; err != nil || got != test.want {
					t.Errorf("dry %v: got %+v, %v; want %+v", dry, got, err, test.want)
				}
			}
		})
	}
	t.Run("hour by hour, with nothing to read", func(t *testing.T) {
		p := newPlace(t, nil)
		for hour := 1; hour < 6; hour++ {
			row, _ := p.Add(t, hour*2*3600, indextest.Apart) // two are created in the same second
			if err := p.index.Put(t.Context(), row); err != nil {
				t.Fatal(err)
			}
		}
		o := retention.SweepOptions{Store: nothingToRead{p}, Index: p.index, Cluster: indextest.Cluster,
			Now: time.Now().Add(99 * grace), Grace: grace, Limit: 1}
		for hours := 1; ; hours++ {
			got, err := retention.Sweep(t.Context(), o)
			if err != nil || got.Parts != 0 {
				t.Fatalf("%+v, %v", got, err)
			}
			if o.After = got.Next; o.After == "" {
				if hours != 6 {
					t.Errorf("in %d parts, want 6", hours)
				}
				return
			}
		}
	})
	if _, err := retention.Sweep(t.Context(), retention.SweepOptions{Grace: 23 * time.Hour}); err == nil {
		t.Error("a grace of 23 hours is taken")
	}
}

// nothingToRead fails on reading an object.
type nothingToRead struct{ *place }

func (nothingToRead) Open(_ context.Context, key string) (io.ReadCloser, error) {
	return nil, fmt.Errorf("%s is read", key)
}

func (p *place) uncommit(t *testing.T, n int) {
	t.Helper()
	if err := p.Delete(t.Context(), p.keys[n]); err != nil {
		t.Fatal(err)
	}
}
