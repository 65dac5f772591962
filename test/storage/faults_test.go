package storage

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"runtime/pprof"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/store"
	"github.com/indelible-ci/indelible/test/storage/faults"
	"github.com/indelible-ci/indelible/test/storage/s3server"
)

const (
	// silence is how long the server may be silent in these tests, and bound what three attempts
	// and their pauses may take at most.
	silence = "3s"
	bound   = 2 * time.Minute
	small   = 2 << 10
	large   = 8 << 20 // two parts
)

// outcome of a call.
type outcome string

const (
	succeeds outcome = "succeeds"
	exists   outcome = "says that the object exists"
	fails    outcome = "fails, and says nothing of the object"
)

func of(err error) outcome {
	switch {
	case err == nil:
		return succeeds
	case errors.Is(err, store.ErrExists):
		return exists
	case errors.Is(err, store.ErrNotExist):
		return "says that there is no object"
	}
	return fails
}

// What is created and read while something is wrong ends, with the right kind of error; nothing is
// half there; and the next attempt after it succeeds.
func TestS3Faults(t *testing.T) {
	t.Parallel()
	for i, test := range []struct {
		name   string
		fault  faults.Fault
		size   int  // of the object that is created, and of the one that is read
		taken  bool // there is an object already
		create outcome
		stored bool
		open   outcome
	}{
		{"allow a server that is slow", faults.Fault{Kind: faults.Slow}, small, false, succeeds, true, succeeds},
		{"say that connections are reset", faults.Fault{Kind: faults.Reset}, small, false, fails, false, fails},
		{"say that connections are reset in a larger upload", faults.Fault{Kind: faults.Reset}, large, false,
			fails, false,
			fails},
		{"say that an upload was cut off in the middle", faults.Fault{Kind: faults.CutUpload}, large, false,
			fails, false,
			succeeds},
		{"say that a download was cut off in the middle", faults.Fault{Kind: faults.CutDownload}, large, false,
			succeeds,
			true, fails},
		{"say that the server is gone", faults.Fault{Kind: faults.Gone}, small, false, fails, false, fails},
		{"say that the server does not answer", faults.Fault{Kind: faults.Silent}, small, false, fails, false, fails},
		{"say that the server does not read a larger upload", faults.Fault{Kind: faults.Silent}, large, false,
			fails, false,
			fails},
		{
			"say that the server is overloaded", faults.Fault{Kind: faults.ServerError}, small, false, fails,
			false, fails,
		},
		{"allow a server that was overloaded once", faults.Fault{Kind: faults.ServerError, Times: 1}, small, false,
			succeeds,
			true, succeeds},
		{"say that the server is full", faults.Fault{Kind: faults.Full}, small, false, fails, false, succeeds},
		{"say that the server is full for a larger upload", faults.Fault{Kind: faults.Full}, large, false, fails, false,
			succeeds},
		{"allow a conflict that passes", faults.Fault{Kind: faults.Conflict, Times: 1}, small, false, succeeds, true,
			succeeds},
		{"forbid to take a conflict for an object", faults.Fault{Kind: faults.Conflict}, small, false, fails, false,
			succeeds},
		{"find the object behind a conflict", faults.Fault{Kind: faults.Conflict}, small, true, exists, true, succeeds},
		{"find the object behind a conflict of a larger upload", faults.Fault{Kind: faults.Conflict}, large,
			true, exists,
			true, succeeds},
		{"forbid to take a failed condition for an object", faults.Fault{Kind: faults.Precondition}, small,
			false, fails,
			false, succeeds},
		{"find the object behind a failed condition", faults.Fault{Kind: faults.Precondition}, small, true,
			exists, true,
			succeeds},
		{"find one's own object after the answer was lost", faults.Fault{Kind: faults.LostResponse, Times: 1},
			small, false,
			exists, true, succeeds},
		{"say that no answer came, though it is stored", faults.Fault{Kind: faults.LostResponse}, small, false,
			fails, true,
			succeeds},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			proxy, direct, faulty := withFaults(t)
			key, body := "fault/"+string(rune('a'+i)), random(uint64(i), test.size)
			other := "other/" + string(rune('a'+i))
			if err := direct.Create(t.Context(), other, bytes.NewReader(body)); err != nil {
				t.Fatal(err)
			}
			if test.taken {
				if err := direct.Create(t.Context(), key, bytes.NewReader(body)); err != nil {
					t.Fatal(err)
				}
			}
			set(t, proxy, test.fault)
			err := within(t, func(ctx context.Context) error { return faulty.Create(ctx, key, bytes.NewReader(body)) })
			if of(err) != test.create {
				t.Errorf("Create %s: %v; want that it %s", of(err), err, test.create)
			}
			if test.fault.Times == 0 { // else it has passed
				err = within(t, func(ctx context.Context) error { return reads(ctx, faulty, other, body) })
				if of(err) != test.open {
					t.Errorf("Open %s: %v; want that it %s", of(err), err, test.open)
				}
			}
			if proxy.Struck() == 0 && test.fault.Kind != faults.Gone {
				t.Error("the fault struck nothing")
			}
			if err := proxy.Clear(); err != nil {
				t.Fatal(err)
			}
			wantStored(t, direct, key, body, test.stored)

			want := succeeds
			if test.stored {
				want = exists
			}
			if err := faulty.Create(t.Context(), key, bytes.NewReader(body)); of(err) != want {
				t.Errorf("the next attempt %s: %v; want that it %s", of(err), err, want)
			}
			wantStored(t, direct, key, body, true)
		})
	}
}

// What moves goes on, however long it takes. So does an upload, but what system buffers hold is
// sent for the client.
func TestS3SlowDownload(t *testing.T) {
	t.Parallel()
	proxy, direct, faulty := withFaults(t)
	body := random(1, 4<<20)
	if err := direct.Create(t.Context(), "a/b", bytes.NewReader(body)); err != nil {
		t.Fatal(err)
	}
	set(t, proxy, faults.Fault{Kind: faults.Slow})
	started := time.Now()
	if err := within(t, func(ctx context.Context) error { return reads(ctx, faulty, "a/b", body) }); err != nil {
		t.Error(err)
	}
	if took, atLeast := time.Since(started), 6*time.Second; took < atLeast {
		t.Errorf("took %s: the fault is not slow enough to show anything", took)
	}
}

// A server that falls silent in the middle of a transfer ends it, in either direction.
func TestS3FallsSilent(t *testing.T) {
	t.Parallel()
	proxy, direct, faulty := withFaults(t)
	content := random(1, 24<<20)
	fallsSilent := readerFunc(func([]byte) (int, error) {
		set(t, proxy, faults.Fault{Kind: faults.Silent})
		return 0, io.EOF
	})
	body := io.MultiReader(bytes.NewReader(content[:12<<20]), fallsSilent, bytes.NewReader(content[12<<20:]))
	err := within(t, func(ctx context.Context) error { return faulty.Create(ctx, "a/b", body) })
	if of(err) != fails {
		t.Errorf("Create %s: %v", of(err), err)
	}
	if err := proxy.Clear(); err != nil {
		t.Fatal(err)
	}
	wantStored(t, direct, "a/b", content, false)

	if err := faulty.Create(t.Context(), "a/b", bytes.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	err = within(t, func(ctx context.Context) error {
		object, err := faulty.Open(ctx, "a/b")
		if err != nil {
			t.Fatal(err)
		}
		defer object.Close()
		if _, err := io.CopyN(io.Discard, object, 1<<20); err != nil {
			t.Fatal(err)
		}
		set(t, proxy, faults.Fault{Kind: faults.Silent})
		_, err = io.Copy(io.Discard, object)
		return err
	})
	if of(err) != fails {
		t.Errorf("reading on %s: %v", of(err), err)
	}
}

// Listing, describing and deleting end as well.
func TestS3OtherCallsEnd(t *testing.T) {
	t.Parallel()
	for _, kind := range []faults.Kind{faults.Reset, faults.Gone, faults.Silent, faults.ServerError} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			proxy, direct, faulty := withFaults(t)
			if err := direct.Create(t.Context(), "a/b", strings.NewReader("x")); err != nil {
				t.Fatal(err)
			}
			set(t, proxy, faults.Fault{Kind: kind})
			for name, call := range map[string]func(context.Context) error{
				"Stat":   func(ctx context.Context) error { _, err := faulty.Stat(ctx, "a/b"); return err },
				"Delete": func(ctx context.Context) error { return faulty.Delete(ctx, "a/b") },
				"List": func(ctx context.Context) (failed error) {
					for _, err := range faulty.List(ctx, "", "") {
						failed = err
					}
					return failed
				},
			} {
				if err := within(t, call); of(err) != fails {
					t.Errorf("%s %s: %v", name, of(err), err)
				}
			}
			if err := proxy.Clear(); err != nil {
				t.Fatal(err)
			}
			if _, err := faulty.Stat(t.Context(), "a/b"); err != nil {
				t.Error(err)
			}
		})
	}
}

// A bucket that is not there is not an empty one.
func TestS3BucketIsMissing(t *testing.T) {
	t.Parallel()
	missing(t, open(t, s3server.URL(s3, "another")))
}

func missing(t *testing.T, s store.Store) {
	t.Helper()
	if _, err := s.Open(t.Context(), "a/b"); of(err) != fails {
		t.Errorf("Open %s: %v", of(err), err)
	}
	if _, err := s.Stat(t.Context(), "a/b"); of(err) != fails {
		t.Errorf("Stat %s: %v", of(err), err)
	}
	if err := s.Create(t.Context(), "a/b", strings.NewReader("x")); of(err) != fails {
		t.Errorf("Create %s: %v", of(err), err)
	}
	var listed error
	for _, err := range s.List(t.Context(), "", "") {
		listed = err
	}
	if of(listed) != fails {
		t.Errorf("List %s: %v", of(listed), listed)
	}
}

// withFaults returns a proxy of a test's own before the one server, and stores without and with its
// faults on a place of the test's own.
func withFaults(t *testing.T) (proxy *faults.Proxy, direct, faulty store.Store) {
	t.Helper()
	proxy, err := faults.Start("127.0.0.1:0", s3)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = proxy.Close() })
	place := place()
	return proxy, open(t, s3URL(s3)+place), open(t, s3URL(proxy.URL())+place+"&timeout="+silence)
}

func set(t *testing.T, proxy *faults.Proxy, f faults.Fault) {
	t.Helper()
	if err := proxy.Set(f); err != nil {
		t.Fatal(err)
	}
}

// within fails the test where a call does not end, and says what all goroutines were at. The bound
// is not the call's context: it is to end by itself.
func within(t *testing.T, call func(context.Context) error) error {
	t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- call(t.Context()) }()
	select {
	case err := <-ended:
		return err
	case <-time.After(bound):
		var stacks strings.Builder
		_ = pprof.Lookup("goroutine").WriteTo(&stacks, 2)
		t.Fatalf("no end after %s. All goroutines:\n%s", bound, stacks.String())
		return nil
	}
}

func reads(ctx context.Context, s store.Store, key string, want []byte) error {
	object, err := s.Open(ctx, key)
	if err != nil {
		return err
	}
	defer object.Close()
	got, err := io.ReadAll(object)
	if err == nil && !bytes.Equal(got, want) {
		err = errors.New("read without an error what was not stored")
	}
	return err
}

// wantStored asks, past all faults, whether an object is there, and whole.
func wantStored(t *testing.T, direct store.Store, key string, body []byte, want bool) {
	t.Helper()
	err := reads(t.Context(), direct, key, body)
	if want && err != nil || !want && !errors.Is(err, store.ErrNotExist) {
		t.Errorf("%s: %v; want it there: %v", key, err, want)
	}
	var keys []string
	for info, err := range direct.List(t.Context(), key, "") {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, info.Key)
	}
	if slices.Contains(keys, key) != want {
		t.Errorf("listed %q; want %s there: %v", keys, key, want)
	}
}

func random(seed uint64, size int) []byte {
	b := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)}).Read(b)
	return b
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
