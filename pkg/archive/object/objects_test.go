package object

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gocloud.dev/blob/memblob"

	"github.com/indelible-ci/indelible/pkg/archive/layout"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

const cluster = layout.Cluster("prod")

// place is a directory in which several writers have stores.
type place struct{ root string }

func newPlace(t testing.TB) place { return place{t.TempDir()} }

func (p place) store(t testing.TB) *store.Directory {
	t.Helper()
	s, err := store.NewDirectory(p.root)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (p place) objects(t testing.TB) *Objects { return New(p.store(t), cluster, time.Now) }

func (p place) keys(t testing.TB, prefix string) []string {
	t.Helper()
	var keys []string
	for info, err := range p.store(t).List(t.Context(), "clusters/prod/"+prefix, "") {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, strings.TrimPrefix(info.Key, "clusters/prod/"))
	}
	return keys
}

func resultOf(data string) Object {
	return Object{Kind: Result, Parent: "team-a", Result: "build-7", Data: json.RawMessage(data)}
}

func recordOf(id, data string) Object {
	return Object{Kind: Record, Parent: "team-a", Result: "build-7", ID: id, Type: "example.dev/v1.Report",
		Data: json.RawMessage(data)}
}

func must(t testing.TB) func(Object, error) Object {
	return func(o Object, err error) Object {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
}

func wantError(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
}

func TestObjectsAreCreatedReadChangedAndDeleted(t *testing.T) {
	p := newPlace(t)
	o := p.objects(t)
	ctx := t.Context()
	for _, first := range []Object{resultOf(`{"annotations": {"a": "<b>&\u2028"}}`), recordOf("r1", ` [1, 2] `),
		recordOf("r2", "null"), recordOf("r3", "")} {
		if len(first.Data) == 0 {
			first.Data = nil
		}
		_, err := o.Get(ctx, first.Name())
		wantError(t, err, ErrNotExist)
		_, err = o.Update(ctx, first)
		wantError(t, err, ErrNotExist)
		wantError(t, o.Delete(ctx, first.Name(), 0), ErrNotExist)
		created := must(t)(o.Create(ctx, first))
		if created.UID == "" || created.Generation == 0 || created.Created.IsZero() ||
			!created.Updated.Equal(created.Created) {
			t.Errorf("created %+v", created)
		}
		_, err = p.objects(t).Create(ctx, first)
		wantError(t, err, ErrExists)
		got := must(t)(p.objects(t).Get(ctx, first.Name()))
		if got.Key != created.Key || got.UID != created.UID || got.ETag() != created.ETag() ||
			!got.Updated.Equal(created.Updated) || !sameJSON(got.Data, first.Data) {
			t.Errorf("got %+v, want %+v", got, created)
		}
		got.Data = json.RawMessage(`{"second": true}`)
		updated := must(t)(o.Update(ctx, got))
		if updated.Generation <= created.Generation || updated.UID != created.UID ||
			!updated.Created.Equal(created.Created) || !updated.Updated.After(created.Updated) {
			t.Errorf("updated %+v of %+v", updated, created)
		}
		_, err = o.Update(ctx, got)
		wantError(t, err, ErrConflict)
		wantError(t, o.Delete(ctx, got.Name(), got.Generation), ErrConflict)
		if again := must(t)(o.Get(ctx, first.Name())); string(again.Data) != `{"second":true}` {
			t.Errorf("got %s", again.Data)
		}
		if err := o.Delete(ctx, first.Name(), updated.Generation); err != nil {
			t.Fatal(err)
		}
		_, err = p.objects(t).Get(ctx, first.Name())
		wantError(t, err, ErrNotExist)
		if first.Kind == Result {
			_, err = o.Create(ctx, recordOf("r1", "{}"))
			wantError(t, err, ErrNotExist)
		}
		again := must(t)(o.Create(ctx, first))
		if again.UID == created.UID || again.Generation <= updated.Generation {
			t.Errorf("created again: %+v after %+v", again, updated)
		}
	}
}

func sameJSON(a, b json.RawMessage) bool {
	var left, right bytes.Buffer
	return len(a) == len(b) || json.Compact(&left, a) == nil && json.Compact(&right, b) == nil &&
		left.String() == right.String()
}

func TestNamesAndDataThatCannotBeWritten(t *testing.T) {
	o := newPlace(t).objects(t)
	for name, object := range map[string]Object{
		"no kind":            {Parent: "a", Result: "b"},
		"no parent":          {Kind: Result, Result: "b"},
		"a slash":            {Kind: Result, Parent: "a", Result: "b/records/c"},
		"a Result with id":   {Kind: Result, Parent: "a", Result: "b", ID: "c"},
		"a Record with none": {Kind: Record, Parent: "a", Result: "b"},
		"no JSON":            recordOf("r", "{secret"),
		"too much":           recordOf("r", `"`+strings.Repeat("x", MaxData)+`"`),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := o.Create(t.Context(), object)
			wantError(t, err, ErrInvalid)
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("the error shows data: %v", err)
			}
		})
	}
}

// Several writers with their own stores increment the same object, so that a lost write, or one
// acknowledged to two writers, is missing in the end.
func TestOfSeveralWritersOneWritesEachGeneration(t *testing.T) {
	bucket := memblob.OpenBucket(nil)
	directory := newPlace(t)
	for name, open := range map[string]func() store.Store{
		"in a directory": func() store.Store { return directory.store(t) },
		"in a bucket":    func() store.Store { return store.NewBucket(bucket, nil) },
	} {
		t.Run(name, func(t *testing.T) { testCounting(t, open) })
	}
}

func testCounting(t *testing.T, open func() store.Store) {
	const writers, each = 4, 25
	must(t)(New(open(), cluster, time.Now).Create(t.Context(), recordOf("counter", "0")))
	var group sync.WaitGroup
	for range writers {
		o := New(&faulty{Store: open(), every: 7}, cluster, time.Now)
		group.Go(func() {
			for range each {
				if err := increment(t.Context(), o); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	got := must(t)(New(open(), cluster, time.Now).Get(t.Context(), recordOf("counter", "").Name()))
	if string(got.Data) != fmt.Sprint(writers*each) || got.Generation != writers*each+1 {
		t.Errorf("counted to %s in generation %d, want %d", got.Data, got.Generation, writers*each)
	}
}

// increment increments the counter, and tries again after conflicts.
func increment(ctx context.Context, o *Objects) error {
	for {
		got, err := o.Get(ctx, recordOf("counter", "").Name())
		if err != nil {
			return err
		}
		var value int
		if err := json.Unmarshal(got.Data, &value); err != nil {
			return err
		}
		got.Data = json.RawMessage(fmt.Sprint(value + 1))
		if _, err = o.Update(ctx, got); !errors.Is(err, ErrConflict) {
			return err
		}
	}
}

// Creators of an object that was deleted long ago, while the tombstone is swept: one wins, and what
// it wrote stays.
func TestCreatorsAndASweeper(t *testing.T) {
	p := newPlace(t)
	var creators []*Objects
	for range 3 {
		creators = append(creators, New(&faulty{Store: p.store(t), every: 5}, cluster, time.Now))
	}
	for round := range 40 {
		one := resultOf(`"x"`)
		if round%2 == 1 {
			one = recordOf("r1", `"x"`)
			one.Result = "build-8"
		}
		must(t)(p.objects(t).Create(t.Context(), one))
		if err := p.objects(t).Delete(t.Context(), one.Name(), 0); err != nil {
			t.Fatal(err)
		}
		var wins atomic.Int64
		var group sync.WaitGroup
		for _, o := range creators {
			group.Go(func() {
				switch _, err := o.Create(t.Context(), one); {
				case err == nil:
					wins.Add(1)
				case !errors.Is(err, ErrExists):
					t.Error(err)
				}
			})
		}
		group.Go(func() {
			if _, err := p.objects(t).Sweep(t.Context(),
				SweepOptions{Now: time.Now().Add(48 * time.Hour), Grace: MinGrace}); err != nil {
				t.Error(err)
			}
		})
		group.Wait()
		if wins.Load() != 1 {
			t.Errorf("round %d: %d won", round, wins.Load())
		}
		must(t)(p.objects(t).Get(t.Context(), one.Name()))
		if err := p.objects(t).Delete(t.Context(), one.Name(), 0); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOfSeveralCreatorsOneWins(t *testing.T) {
	p := newPlace(t)
	for round := range 20 {
		object := recordOf(fmt.Sprint("r", round), "{}")
		var wins, exist atomic.Int64
		var group sync.WaitGroup
		for range 4 {
			o := New(&faulty{Store: p.store(t), every: 3}, cluster, time.Now)
			group.Go(func() {
				switch _, err := o.Create(t.Context(), object); {
				case err == nil:
					wins.Add(1)
				case errors.Is(err, ErrExists):
					exist.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		group.Wait()
		if wins.Load() != 1 || exist.Load() != 3 {
			t.Errorf("%d won and %d heard that it exists, want 1 and 3", wins.Load(), exist.Load())
		}
	}
}

var errLost = errors.New("the connection was reset")

// faulty is a store of which every nth creation fails, alternately before and after the object was
// stored.
type faulty struct {
	store.Store
	every, n int64
}

func (f *faulty) Create(ctx context.Context, key string, body io.Reader) error {
	n := atomic.AddInt64(&f.n, 1)
	if n%f.every != 0 {
		return f.Store.Create(ctx, key, body)
	}
	if n/f.every%2 == 0 {
		return errLost
	}
	if err := f.Store.Create(ctx, key, body); err != nil {
		return err
	}
	return errLost
}

// The format of existing archives.
func TestFormat(t *testing.T) {
	p := newPlace(t)
	at := time.Date(2026, 11, 20, 10, 42, 11, 123456789, time.UTC)
	o := New(p.store(t), cluster, func() time.Time { return at })
	record := recordOf("r1", `{"a": "<é>"}`)
	record.UID = "6e21a8a5-bd27-4f4b-a14b-0f4e4e2c3a11"
	written := must(t)(o.Create(t.Context(), record))
	text, err := o.text(t.Context(), written.Key)
	if err != nil {
		t.Fatal(err)
	}
	start, writer, _ := strings.Cut(string(text), `"writer":"`)
	const want = `{"apiVersion":"archive.indelible.dev/v1","cluster":"prod","kind":"Record","parent":"team-a","result":"build-7","id":"r1",` +
		`"uid":"6e21a8a5-bd27-4f4b-a14b-0f4e4e2c3a11","generation":1,"created":"2026-11-20T10:42:11.123456Z","updated":"2026-11-20T10:42:11.123456Z",` +
		`"type":"example.dev/v1.Report","data":{"a":"<é>"},"dataSHA256":"6c9c16dcfa514da0d29bfa265370019e7db3cd144e181e3fd69797ad552437d2",`
	if start != want || len(writer) != 26+3 { // printf '{"a":"<é>"}' | sha256sum
		t.Errorf("got %s\nwant %s and a writer, not %s", start, want, writer)
	}
	if written.ETag() != "1-6e21a8a5" {
		t.Errorf("etag %s", written.ETag())
	}
}

// Unknown fields, which a later version has added, are read and preserved in the next generation.
func TestFieldsOfLaterProgramsAreCarried(t *testing.T) {
	p := newPlace(t)
	o := p.objects(t)
	first := must(t)(o.Create(t.Context(), recordOf("r1", "1")))
	text, err := o.text(t.Context(), first.Key)
	if err == nil {
		err = o.store.Delete(t.Context(), first.Key)
	}
	later := strings.Replace(string(text), `"kind"`, `"labels":{"a":["<b>"]},"kind"`, 1)
	if err == nil {
		err = o.store.Create(t.Context(), first.Key, bytes.NewReader(pack([]byte(later))))
	}
	if err != nil {
		t.Fatal(err)
	}
	got := must(t)(p.objects(t).Get(t.Context(), first.Name()))
	got.Unknown = nil // the API does not serve unknown fields
	got.Data = json.RawMessage("2")
	second := must(t)(o.Update(t.Context(), got))
	again := must(t)(o.Get(t.Context(), first.Name()))
	if string(again.Data) != "2" || again.Key != second.Key ||
		!sameJSON(again.Unknown["labels"], json.RawMessage(`{"a":["<b>"]}`)) {
		t.Errorf("got %+v", again)
	}
}
