package object

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// age makes everything stored look old.
func (p place) age(t testing.TB, prefix string, by time.Duration) {
	t.Helper()
	for _, key := range p.keys(t, prefix) {
		path := filepath.Join(p.root, "clusters", "prod", filepath.FromSlash(key))
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		at := info.ModTime().Add(-by)
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
}

func names(t testing.TB, o *Objects) []string {
	t.Helper()
	var all []string
	for object, err := range o.List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, strings.TrimPrefix(object.Name().String(), "team-a/results/")+"="+string(object.Data))
	}
	slices.Sort(all)
	return all
}

func want(t testing.TB, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestDeletingAResultDeletesWhatIsUnderIt(t *testing.T) {
	p := newPlace(t)
	o := p.objects(t)
	ctx := t.Context()
	must(t)(o.Create(ctx, resultOf("{}")))
	must(t)(o.Create(ctx, recordOf("r1", "1")))
	must(t)(o.PutLog(ctx, Name{Kind: Log, Parent: "team-a", Result: "build-7", ID: "l1"}, randomLog(100<<10)))
	other := recordOf("r1", "3")
	other.Result = "build-8"
	must(t)(o.Create(ctx, other))
	if err := o.Delete(ctx, resultOf("").Name(), 0); err != nil {
		t.Fatal(err)
	}
	want(t, names(t, o), "build-8/records/r1=3")
	if left := p.keys(t, "contents/"); len(left) != 0 {
		t.Errorf("contents are left: %q", left)
	}
	wantError(t, o.Delete(ctx, resultOf("").Name(), 0), ErrNotExist)
	must(t)(o.Create(ctx, resultOf(`"again"`)))
	_, err := o.Get(ctx, recordOf("r1", "").Name())
	wantError(t, err, ErrNotExist)
	must(t)(o.Create(ctx, recordOf("r1", "2")))
	want(t, names(t, o), "build-7/records/r1=2", `build-7="again"`, "build-8/records/r1=3")

	// A Result without an object, as archived runs form.
	if err := o.Delete(ctx, Name{Kind: Result, Parent: "team-a", Result: "build-8"}, 0); err != nil {
		t.Fatal(err)
	}
	want(t, names(t, o), "build-7/records/r1=2", `build-7="again"`)
}

// The deletion of a Result is killed at each call to the store. All of it or nothing is visible
// afterwards, and a Result that is created again does not show what was under the old one.
func TestADeletionThatWasKilledLeavesNothingHalf(t *testing.T) {
	for calls := 0; ; calls++ {
		p := newPlace(t)
		o := p.objects(t)
		must(t)(o.Create(t.Context(), resultOf("{}")))
		for i := range 3 {
			must(t)(o.Create(t.Context(), recordOf(fmt.Sprint("r", i), "1")))
		}
		dying := &dying{Store: p.store(t), left: calls}
		err := New(dying, cluster, time.Now).Delete(t.Context(), resultOf("").Name(), 0)
		switch got := names(t, o); len(got) {
		case 4:
			if err == nil {
				t.Fatalf("after %d calls all is there, and the deletion has succeeded", calls)
			}
		case 0:
			must(t)(o.Create(t.Context(), resultOf(`"again"`)))
			want(t, names(t, o), `build-7="again"`)
			under := func(key string) bool { return strings.Contains(key, ".under.") }
			if left := p.keys(t, "objects/"); slices.ContainsFunc(left, under) {
				t.Errorf("after %d calls, and created again: %q is left", calls, left)
			}
		default:
			t.Errorf("after %d calls: %q", calls, got)
		}
		if err == nil {
			return
		}
	}
}

func TestLogs(t *testing.T) {
	p := newPlace(t)
	o := p.objects(t)
	name := Name{Kind: Log, Parent: "team-a", Result: "build-7", ID: "l1"}
	for what, test := range map[string]struct {
		content []byte
		parts   int
	}{
		"an empty one":     {nil, 0},
		"a small one":      {[]byte("a line\n"), 0},
		"one of no text":   {[]byte("\xff\xfe"), 1},
		"a large one":      {bytes.Repeat([]byte("a line of a log\n"), 100_000), 1},
		"one of 32 KiB":    {bytes.Repeat([]byte("x"), 32<<10), 0},
		"one of 1 more":    {bytes.Repeat([]byte("x"), 32<<10+1), 1},
		"one of 2 members": {bytes.Repeat([]byte("x"), 256<<10+1), 1},
	} {
		t.Run(what, func(t *testing.T) {
			before := len(p.keys(t, "contents/"))
			written := must(t)(o.PutLog(t.Context(), name, bytes.NewReader(test.content)))
			if stored := len(p.keys(t, "contents/")) - before; stored != test.parts {
				t.Errorf("%d contents, want %d", stored, test.parts)
			}
			for _, log := range []Object{written, must(t)(p.objects(t).Get(t.Context(), name))} {
				content, err := o.OpenLog(t.Context(), log)
				if err != nil {
					t.Fatal(err)
				}
				got, err := io.ReadAll(content)
				if err = errors.Join(err, content.Close()); err != nil || !bytes.Equal(got, test.content) {
					t.Errorf("read %d bytes, %v; want %d", len(got), err, len(test.content))
				}
			}
		})
	}
	broken := errors.New("the client is gone")
	before := must(t)(o.Get(t.Context(), name))
	_, err := o.PutLog(t.Context(), name, io.MultiReader(randomLog(1<<20), failing{broken}))
	wantError(t, err, broken)
	if after := must(t)(o.Get(t.Context(), name)); after.Key != before.Key {
		t.Errorf("a log that broke off is %s, want %s as before", after.Key, before.Key)
	}
	must(t)(o.HideLog(t.Context(), name))
	hidden := must(t)(o.Get(t.Context(), name))
	_, err = o.OpenLog(t.Context(), hidden)
	wantError(t, err, ErrNotExist)
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func randomLog(size int64) io.Reader { return io.LimitReader(rand.NewChaCha8([32]byte{7}), size) }

// Known keys are listed without a read; changed objects are read. A rebuild from segments equals
// one from objects.
func TestChangedReadsWhatIsNotKnownAndSegmentsGiveTheSame(t *testing.T) {
	p := newPlace(t)
	o := p.objects(t)
	ctx := t.Context()
	fill := func(from, to int) {
		for i := from; i < to; i++ {
			object := recordOf(fmt.Sprintf("r%03d", i), fmt.Sprint(i))
			must(t)(o.Create(ctx, object))
		}
	}
	must(t)(o.Create(ctx, resultOf("{}")))
	fill(0, 60)
	compact := func(age time.Duration) CompactTotals {
		t.Helper()
		p.age(t, "objects/", age)
		totals, err := o.Compact(ctx,
			CompactOptions{Now: time.Now(), Passed: func(key string, err error) { t.Errorf("%s: %v", key, err) }})
		if err != nil {
			t.Fatal(err)
		}
		return totals
	}
	before := names(t, o)
	if totals := compact(2 * time.Hour); totals.Segments != 1 || totals.Objects != 61 {
		t.Errorf("compacted %+v, want 61 objects in a segment", totals)
	}
	counting := &counting{Store: p.store(t)}
	counted := New(counting, cluster, time.Now)
	want(t, names(t, counted), before...)
	if counting.opened["objects"] > 1 || counting.opened["objectsegments"] != 1 {
		t.Errorf("opened %v, want one segment and no objects", counting.opened)
	}
	if totals, err := o.Compact(ctx, CompactOptions{Now: time.Now()}); err != nil || totals.Segments != 0 {
		t.Errorf("compacted %+v, %v where nothing has changed", totals, err)
	}

	known := map[string]bool{}
	for object, err := range o.List(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		known[object.Key] = true
	}
	third := must(t)(o.Get(ctx, recordOf("r003", "").Name()))
	third.Data = json.RawMessage(`"new"`)
	must(t)(o.Update(ctx, third))
	if err := o.Delete(ctx, recordOf("r004", "").Name(), 0); err != nil {
		t.Fatal(err)
	}
	counting.opened = nil
	var unread, read int
	for object, err := range counted.Changed(ctx, func(key string) bool { return known[key] }, nil) {
		switch {
		case err != nil:
			t.Fatal(err)
		case object.Kind == "" && known[object.Key]:
			unread++
		case string(object.Data) == `"new"`:
			read++
		default:
			t.Errorf("got %+v", object)
		}
	}
	if unread != 59 || read != 1 || counting.opened["objects"] != 1 {
		t.Errorf("%d known, %d read, opened %v; want 59, 1 and one object", unread, read, counting.opened)
	}

	// Segments follow changes and deletions; obsolete copies are never used.
	changed := names(t, o)
	if slices.Equal(changed, before) {
		t.Error("nothing has changed")
	}
	fill(60, 100)
	after := names(t, o)
	if totals := compact(time.Hour); totals.Segments != 1 || totals.Objects != 100 {
		t.Errorf("compacted %+v, want 100 objects in a segment", totals)
	}
	want(t, names(t, o), after...)
	if left := p.keys(t, "objectsegments/"); len(left) != 1 {
		t.Errorf("segments %q, want one", left)
	}
	if err := o.Delete(ctx, resultOf("").Name(), 0); err != nil {
		t.Fatal(err)
	}
	want(t, names(t, o))
	if err := o.Forget(ctx, resultOf("").Name().Tree()); err != nil {
		t.Fatal(err)
	}
	if left := p.keys(t, "objectsegments/"); len(left) != 0 {
		t.Errorf("segments %q of what is deleted", left)
	}
}

func TestSweepLeavesWhatCounts(t *testing.T) {
	p := newPlace(t)
	o := p.objects(t)
	ctx := t.Context()
	log := Name{Kind: Log, Parent: "team-a", Result: "build-7", ID: "l1"}
	must(t)(o.Create(ctx, resultOf("{}")))
	record := must(t)(o.Create(ctx, recordOf("r1", "1")))
	record.Data = json.RawMessage("2")
	must(t)(o.Update(ctx, record))
	must(t)(o.Create(ctx, recordOf("r2", "1")))
	if err := o.Delete(ctx, recordOf("r2", "").Name(), 0); err != nil {
		t.Fatal(err)
	}
	must(t)(o.PutLog(ctx, log, randomLog(100<<10)))
	must(t)(o.PutLog(ctx, log, randomLog(200<<10)))
	gone := resultOf("{}")
	gone.Result = "build-8"
	must(t)(o.Create(ctx, gone))
	if err := o.Delete(ctx, gone.Name(), 0); err != nil {
		t.Fatal(err)
	}
	before := names(t, o)
	sweep := func() SweepTotals {
		t.Helper()
		totals, err := o.Sweep(ctx, SweepOptions{Now: time.Now(), Grace: MinGrace})
		if err != nil {
			t.Fatal(err)
		}
		return totals
	}
	if totals := sweep(); totals != (SweepTotals{}) {
		t.Errorf("swept %+v of what is young", totals)
	}
	p.age(t, "objects/", 25*time.Hour)
	p.age(t, "contents/", 25*time.Hour)
	totals := sweep()
	// An old state of r1 and of the log, three objects each of r2 and build-8.
	if totals.Generations != 8 || totals.Contents != 1 || totals.Bytes == 0 {
		t.Errorf("swept %+v, want 8 generations and a content", totals)
	}
	want(t, names(t, o), before...)
	if totals := sweep(); totals != (SweepTotals{}) {
		t.Errorf("swept %+v the second time", totals)
	}
	if keys := p.keys(t, ""); len(keys) != 4 {
		t.Errorf("%q are left, want a Result, a Record, a Log and its content", keys)
	}
	_, err := o.Sweep(ctx, SweepOptions{Now: time.Now(), Grace: time.Hour})
	if err == nil {
		t.Error("swept with a grace of an hour")
	}
}

func TestHoldsKeepATree(t *testing.T) {
	o := newPlace(t).objects(t)
	ctx := t.Context()
	text := HoldText{Reason: "an audit", By: "kim", At: time.Now()}
	wantError(t, o.Hold(ctx, "team-a", "build-7", text), ErrNotExist)
	must(t)(o.Create(ctx, recordOf("r1", "1")))
	if err := o.Hold(ctx, "team-a", "build-7", text); err != nil {
		t.Fatal(err)
	}
	wantError(t, o.Hold(ctx, "team-a", "build-7", text), store.ErrExists)
	wantError(t, o.Delete(ctx, recordOf("r1", "").Name(), 0), ErrHeld)
	wantError(t, o.Delete(ctx, resultOf("").Name(), 0), ErrHeld)
	if held, err := o.Held(ctx, "team-a", "build-7"); err != nil || held.Reason != text.Reason {
		t.Errorf("held: %+v, %v", held, err)
	}
	if err := o.Unhold(ctx, "team-a", "build-7"); err != nil {
		t.Fatal(err)
	}
	if err := o.Delete(ctx, resultOf("").Name(), 0); err != nil {
		t.Error(err)
	}
}
