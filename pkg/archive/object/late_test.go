package object

import (
	"encoding/json"
	"sync/atomic"
	"testing"
	"time"
)

// clock is a writer's clock, which advances only when it is told.
type clock struct{ at atomic.Int64 }

func (c *clock) now() time.Time { return time.Unix(1_800_000_000, c.at.Load()) }

func (c *clock) pass(d time.Duration) { c.at.Add(int64(d)) }

// A writer that sleeps between read and write, until others have written and the generation it
// would write was deleted, has not won.
func TestAWriterThatSleptHasNotWon(t *testing.T) {
	for name, test := range map[string]struct {
		slept   time.Duration
		others  int
		pruned  bool
		want    error
		results string
	}{
		"a minute, and nobody came":                             {time.Minute, 0, false, nil, `"late"`},
		"a minute, and one came":                                {time.Minute, 1, false, ErrConflict, "1"},
		"a minute, and two came":                                {time.Minute, 2, false, ErrConflict, "2"},
		"a minute, and three came, and the first was forgotten": {time.Minute, 3, true, ErrConflict, "3"},
		"a day, and nobody came":                                {24 * time.Hour, 0, false, ErrConflict, "0"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			o := p.objects(t)
			must(t)(o.Create(t.Context(), recordOf("r1", "0")))
			var c clock
			sleeping := &before{Store: p.store(t)}
			late := New(sleeping, cluster, c.now)
			mine := must(t)(late.Get(t.Context(), recordOf("r1", "").Name()))
			sleeping.create = func(key string) {
				c.pass(test.slept)
				for i := range test.others {
					theirs := must(t)(o.Get(t.Context(), mine.Name()))
					theirs.Data, _ = json.Marshal(i + 1)
					must(t)(o.Update(t.Context(), theirs))
				}
				if test.pruned {
					if err := o.store.Delete(t.Context(), key); err != nil {
						t.Error(err)
					}
				}
			}
			mine.Data = json.RawMessage(`"late"`)
			_, err := late.Update(t.Context(), mine)
			if test.want != nil {
				wantError(t, err, test.want)
			} else if err != nil {
				t.Error(err)
			}
			if got := must(t)(o.Get(t.Context(), mine.Name())); string(got.Data) != test.results {
				t.Errorf("it is %s, want %s", got.Data, test.results)
			}
		})
	}
}

// A writer deletes old generations, but not one that others may just have read.
func TestWhoWritesDeletesOldGenerations(t *testing.T) {
	p := newPlace(t)
	o := p.objects(t)
	object := must(t)(o.Create(t.Context(), recordOf("r1", "0")))
	for range 5 {
		object = must(t)(o.Update(t.Context(), object))
	}
	if keys := p.keys(t, "objects/"); len(keys) != 6 {
		t.Errorf("%d generations of the last minute, want 6", len(keys))
	}
	p.age(t, "objects/", 2*Kept)
	object = must(t)(o.Update(t.Context(), object)) // the newest that is listed is as old
	must(t)(o.Update(t.Context(), object))
	if keys := p.keys(t, "objects/"); len(keys) != 2 {
		t.Errorf("%d generations: %q, want the last two", len(keys), keys)
	}
}

// Of two creators, one saw the last tombstone, and the other one, after a sweep, nothing. In both
// orders exactly one wins.
func TestCreatorsAtATombstoneThatIsSwept(t *testing.T) {
	for _, kind := range []Object{resultOf("{}"), recordOf("r1", "{}")} {
		p := newPlace(t)
		o := p.objects(t)
		must(t)(o.Create(t.Context(), kind))
		if err := o.Delete(t.Context(), kind.Name(), 0); err != nil {
			t.Fatal(err)
		}
		sweep := func() {
			p.age(t, "objects/", 25*time.Hour)
			if totals, err := o.Sweep(t.Context(), SweepOptions{Now: time.Now(), Grace: MinGrace}); err != nil ||
				totals.Generations != 3 {
				t.Errorf("swept %+v, %v; want three objects", totals, err)
			}
		}
		hooked := &before{Store: p.store(t)}
		slow := New(hooked, cluster, time.Now)
		var theirs error
		hooked.create = func(string) {
			sweep()
			_, theirs = o.Create(t.Context(), kind)
		}
		_, mine := slow.Create(t.Context(), kind)
		if (mine == nil) == (theirs == nil) {
			t.Errorf("%s: the one got %v, the other %v: want one to win", kind.Kind, mine, theirs)
		}
		must(t)(o.Get(t.Context(), kind.Name()))

		// The other order: the one that saw nothing is slow.
		if err := o.Delete(t.Context(), kind.Name(), 0); err != nil {
			t.Fatal(err)
		}
		p.age(t, "objects/", 25*time.Hour)
		fresh := &before{Store: p.store(t)}
		fast := New(fresh, cluster, time.Now)
		hooked.create = nil
		fresh.create = func(string) { // it has seen the tombstone
			sweepAll(t, o)
			hooked.create = nil
			_, mine = slow.Create(t.Context(), kind)
		}
		_, theirs = fast.Create(t.Context(), kind)
		if (mine == nil) == (theirs == nil) {
			t.Errorf("%s: the one got %v, the other %v: want one to win", kind.Kind, mine, theirs)
		}
	}
}

func sweepAll(t *testing.T, o *Objects) {
	t.Helper()
	if _, err := o.Sweep(t.Context(), SweepOptions{Now: time.Now(), Grace: MinGrace}); err != nil {
		t.Error(err)
	}
}
