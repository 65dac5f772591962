// Package storetest tests the contract of store.Store. Every store must pass.
package storetest

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// Options bounds the cost of a test run.
type Options struct {
	// Races is the number of keys that several writers race for.
	Races int
	// StreamBytes is the size of the one large object.
	StreamBytes int64
	// Listed is the number of objects to list, more than a page of 1,000; 0: a bit more than two
	// pages.
	Listed int
	// TakenByFailure: a key whose upload failed halfway cannot be used again.
	TakenByFailure bool
}

// Run tests the stores that open returns, each on a separate place. Stores from the same another
// share objects.
func Run(t *testing.T, o Options, open func(t *testing.T) (another func() store.Store)) {
	for name, test := range map[string]func(*testing.T, func() store.Store){
		"allow to read back what was created": testReadBack,
		"forbid to create an object twice":    testCreateTwice,
		"let one of several writers win": func(t *testing.T, s func() store.Store) {
			testRace(t, s, o.Races)
		},
		"leave no object where the body fails": func(t *testing.T, s func() store.Store) {
			testBodyFails(t, s, o.TakenByFailure)
		},
		"leave no object where the context ends":     testContextEnds,
		"list in byte order, by prefix, after a key": testList,
		"list more than a page": func(t *testing.T, s func() store.Store) {
			testListPages(t, s, cmp.Or(o.Listed, 2100))
		},
		"say that an object does not exist":                testNotExist,
		"delete an object, and one that is not there":      testDelete,
		"refuse keys that mean something to a file system": testKeys,
		"stream a large object in constant memory, both ways": func(t *testing.T, s func() store.Store) {
			Stream(t, s(), o.StreamBytes)
		},
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

func testReadBack(t *testing.T, open func() store.Store) {
	s := open()
	for key, body := range map[string]string{"empty": "", "a/b/c.json": `{"a":1}`, "a/b.c/d=e_f-g": "\x00\xff\n",
		"large": strings.Repeat("x", 6<<20)} {
		create(t, s, key, body)
		wantObject(t, open(), key, body)
		info, err := s.Stat(t.Context(), key)
		if err != nil || info.Key != key || info.Size != int64(len(body)) || info.Modified.IsZero() {
			t.Errorf("Stat(%s): %+v, %v", key, info, err)
		}
	}
}

func testCreateTwice(t *testing.T, open func() store.Store) {
	create(t, open(), "a/b", "first")
	for _, body := range []string{"first", "second", ""} {
		if err := open().Create(t.Context(), "a/b", strings.NewReader(body)); !errors.Is(err, store.ErrExists) {
			t.Errorf("got %v, want ErrExists", err)
		}
	}
	wantObject(t, open(), "a/b", "first")
}

// Eight writers with their own stores race: exactly one Create succeeds, and the object is what
// that one wrote.
func testRace(t *testing.T, open func() store.Store, races int) {
	const writers = 8
	stores := make([]store.Store, writers)
	for i := range stores {
		stores[i] = open()
	}
	for race := range races {
		key := fmt.Sprintf("race/%d/commit.json", race)
		var group sync.WaitGroup
		var winner, wins atomic.Int64
		for i, s := range stores {
			group.Go(func() {
				switch err := s.Create(t.Context(), key, strings.NewReader(fmt.Sprint("writer ", i))); {
				case err == nil:
					winner.Store(int64(i))
					wins.Add(1)
				case !errors.Is(err, store.ErrExists):
					t.Errorf("writer %d: %v", i, err)
				}
			})
		}
		group.Wait()
		if wins.Load() != 1 {
			t.Fatalf("%s: %d winners, want 1", key, wins.Load())
		}
		wantObject(t, stores[race%writers], key, fmt.Sprint("writer ", winner.Load()))
	}
}

func testBodyFails(t *testing.T, open func() store.Store, taken bool) {
	s, broken := open(), errors.New("the pod is gone")
	for _, size := range []int{0, 1, 6 << 20, 20 << 20} {
		body := io.MultiReader(strings.NewReader(strings.Repeat("x", size)), failing{broken})
		if err := s.Create(t.Context(), "a/b", body); !errors.Is(err, broken) {
			t.Errorf("after %d bytes: got %v, want %v", size, err, broken)
		}
		wantNone(t, s, "a/b")
	}
	if !taken {
		create(t, s, "a/b", "whole")
	}
}

func testContextEnds(t *testing.T, open func() store.Store) {
	s := open()
	ctx, cancel := context.WithCancel(t.Context())
	body := io.MultiReader(strings.NewReader(strings.Repeat("x", 6<<20)), ends{cancel}, strings.NewReader("the rest"))
	if err := s.Create(ctx, "a/b", body); err == nil {
		t.Error("created")
	}
	wantNone(t, s, "a/b")
}

func testList(t *testing.T, open func() store.Store) {
	s := open()
	keys := []string{"a-b", "a/b", "a.b", "a/b/c", "a/b-c", "a/b.c", "a=b/c", "aa", "b", "a0/1"}
	// A file system cannot have a/b both as an object and as a folder, and layouts do not need it.
	keys = slices.DeleteFunc(keys, func(key string) bool { return key == "a/b" })
	for _, key := range keys {
		create(t, s, key, "x")
	}
	slices.Sort(keys)
	for _, prefix := range []string{"", "a", "a/", "a/b", "a/b/", "a-", "b", "c", "a/b/c"} {
		for _, after := range []string{"", "a", "a-b", "a/b-c", "a/b/", "a/b/c", "a0", "zz"} {
			want := slices.DeleteFunc(slices.Clone(keys),
				func(key string) bool { return !strings.HasPrefix(key, prefix) || key <= after })
			if got := list(t, open(), prefix, after); !slices.Equal(got, want) {
				t.Errorf("List(%q, %q): got %q, want %q", prefix, after, got, want)
			}
		}
	}
	for _, err := range s.List(t.Context(), "", "") {
		if err != nil {
			t.Error(err)
		}
		break // the caller stops early
	}
}

func testListPages(t *testing.T, open func() store.Store, objects int) {
	s := open()
	var want []string
	var group sync.WaitGroup
	for part := range 7 {
		group.Go(func() {
			for i := part; i < objects; i += 7 {
				create(t, s, fmt.Sprintf("page/%04d", i), "x")
			}
		})
	}
	group.Wait()
	for i := range objects {
		want = append(want, fmt.Sprintf("page/%04d", i))
	}
	if got := list(t, s, "page/", ""); !slices.Equal(got, want) {
		t.Errorf("got %d keys, want %d in order", len(got), len(want))
	}
	if got := list(t, s, "page/", want[objects/2-1]); !slices.Equal(got, want[objects/2:]) {
		t.Errorf("after half of them: got %d keys, want %d", len(got), objects-objects/2)
	}
}

func testNotExist(t *testing.T, open func() store.Store) {
	s := open()
	create(t, s, "a/b/c", "x")
	for _, key := range []string{"a/b", "a/b/c/d", "x"} {
		wantNone(t, s, key)
	}
	if got := list(t, s, "x", ""); len(got) != 0 {
		t.Errorf("got %q", got)
	}
}

func testDelete(t *testing.T, open func() store.Store) {
	s := open()
	create(t, s, "a/b", "x")
	for range 2 {
		if err := s.Delete(t.Context(), "a/b"); err != nil {
			t.Fatal(err)
		}
		wantNone(t, open(), "a/b")
	}
	create(t, s, "a/b", "again")
}

func testKeys(t *testing.T, open func() store.Store) {
	s := open()
	for _, key := range []string{"", "/a", "a/", "a//b", "..", "../a", "a/../b", "a/.", ".tmp-1", "a/.tmp-1", "a b",
		"a\\b", "a\x00b", "ä", "a:b", "a%2fb",
		strings.Repeat("a", 201), strings.Repeat("abc/", 225) + "d"} {
		_, openErr := s.Open(t.Context(), key)
		_, statErr := s.Stat(t.Context(), key)
		for what, err := range map[string]error{
			"Create": s.Create(t.Context(), key, strings.NewReader("x")), "Open": openErr, "Stat": statErr,
			"Delete": s.Delete(t.Context(), key),
		} {
			if err == nil || errors.Is(err, store.ErrNotExist) {
				t.Errorf("%s(%q): got %v, want the key refused", what, key, err)
			}
		}
	}
}

// Stream creates an object of a size and reads it back.
func Stream(t *testing.T, s store.Store, size int64) {
	wrote := &digester{Hash: sha256.New()}
	body := io.TeeReader(io.LimitReader(rand.NewChaCha8([32]byte{1}), size), wrote)
	if err := s.Create(t.Context(), "stream", body); err != nil {
		t.Fatal(err)
	}
	object, err := s.Open(t.Context(), "stream")
	if err != nil {
		t.Fatal(err)
	}
	defer object.Close()
	read := &digester{Hash: sha256.New()}
	if _, err := io.Copy(read, object); err != nil {
		t.Fatal(err)
	}
	if wrote.n != size || read.n != size || !bytes.Equal(wrote.Sum(nil), read.Sum(nil)) {
		t.Errorf("wrote %d bytes, read %d, want %d and the same", wrote.n, read.n, size)
	}
}

type digester struct {
	hash.Hash
	n int64
}

func (d *digester) Write(p []byte) (int, error) {
	d.n += int64(len(p))
	return d.Hash.Write(p)
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// ends calls cancel in the middle of a body.
type ends struct{ cancel func() }

func (e ends) Read([]byte) (int, error) {
	e.cancel()
	return 0, io.EOF
}

func create(t *testing.T, s store.Store, key, body string) {
	t.Helper()
	if err := s.Create(t.Context(), key, strings.NewReader(body)); err != nil {
		t.Errorf("create %s: %v", key, err)
	}
}

func wantObject(t *testing.T, s store.Store, key, want string) {
	t.Helper()
	object, err := s.Open(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	defer object.Close()
	if got, err := io.ReadAll(object); err != nil || string(got) != want {
		t.Errorf("%s: read %d bytes, %v; want %d", key, len(got), err, len(want))
	}
}

func wantNone(t *testing.T, s store.Store, key string) {
	t.Helper()
	if _, err := s.Open(t.Context(), key); !errors.Is(err, store.ErrNotExist) {
		t.Errorf("Open(%s): got %v, want ErrNotExist", key, err)
	}
	if _, err := s.Stat(t.Context(), key); !errors.Is(err, store.ErrNotExist) {
		t.Errorf("Stat(%s): got %v, want ErrNotExist", key, err)
	}
	if slices.Contains(list(t, s, "", ""), key) {
		t.Errorf("%s is listed", key)
	}
}

func list(t *testing.T, s store.Store, prefix, after string) []string {
	t.Helper()
	var keys []string
	for info, err := range s.List(t.Context(), prefix, after) {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, info.Key)
	}
	return keys
}
