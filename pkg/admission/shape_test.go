package admission

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
)

func TestShape(t *testing.T) {
	tests := map[string]struct {
		text                      string
		objects, fields, elements int64
	}{
		"an empty object is one object":                  {`{}`, 1, 0, 0},
		"a field counts in its object":                   {`{"a":1}`, 1, 1, 0},
		"a field after another counts as an element":     {`{"a":1,"b":2}`, 1, 2, 1},
		"a list counts as an element":                    {`[]`, 0, 0, 1},
		"a list of three counts as three elements":       {`[1,2,3]`, 0, 0, 3},
		"objects in a list count":                        {`[{"":1},{"":1}]`, 2, 2, 2},
		"nothing counts in a string":                     {`"{[,:"`, 0, 0, 0},
		"nothing counts after an escaped quote":          {`["\"{{,:"]`, 0, 0, 1},
		"nothing counts in a string that does not end":   {`["{,:`, 0, 0, 1},
		"what follows a string that ends in \\\\ counts": {`["\\",{}]`, 1, 0, 2},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got, want := shapeOf([]byte(tc.text), maxDepth),
				(shape{false, tc.objects, tc.fields, tc.elements}); got != want {
				t.Errorf("%s: %+v, want %+v", tc.text, got, want)
			}
		})
	}
}

// complexReview has an object with that many empty objects in a list.
func complexReview(objects int) []byte {
	list := `{"x":[` + strings.Repeat(`{},`, objects) + `{}]}`
	return bytes.Replace(review("u-1", 10), []byte(`"object":`), []byte(`"oldObject":`+list+`,"object":`), 1)
}

func TestTooComplex(t *testing.T) {
	const want = "the request is too complex: decoding its 100008 objects, "
	s := start(t, Options{Guard: saying("guard"), GuardElsewhere: saying("elsewhere"), Inject: saying("inject"),
		Fit: saying("fit")})
	for _, path := range []string{"/guard", "/guard-elsewhere"} {
		t.Run("allow 20,000 objects to "+path, func(t *testing.T) {
			if status, text,
				answer := s.post(t, path, bytes.NewReader(complexReview(20_000))); status != http.StatusOK ||
				!answer.Allowed {
				t.Errorf("status %d: %s", status, text)
			}
		})
		t.Run("forbid 100,000 objects to "+path+", by a denial", func(t *testing.T) {
			status, text, answer := s.post(t, path, bytes.NewReader(complexReview(100_000)))
			if status != http.StatusOK || answer.Allowed || answer.UID != "u-1" || answer.Result.Code != 422 ||
				!strings.HasPrefix(answer.Result.Message, want) {
				t.Errorf("status %d: %s", status, text)
			}
		})
	}
	for _, path := range []string{"/inject", "/fit"} {
		t.Run("forbid 100,000 objects to "+path+", by a failure", func(t *testing.T) {
			if status, text,
				_ := s.post(t, path, bytes.NewReader(complexReview(100_000))); status != http.StatusBadRequest ||
				!strings.Contains(text, want) {
				t.Errorf("status %d: %s", status, text)
			}
		})
	}
}

// TestRecharge is about one lane of 20 MiB, of which an address may have 10.
func TestRecharge(t *testing.T) {
	const mib = 1 << 20
	enter := func(l *lane, address string, bytes int64) func() {
		t.Helper()
		l.enter(address)
		release, err := l.letIn(t.Context(), address, bytes)
		if err != nil {
			t.Fatal(err)
		}
		return release
	}
	newShared := func() *lane { return newLane(20*mib).sharedBy(10*mib, 100, 100) }
	free := func(l *lane) bool {
		ok := l.bytes.TryAcquire(20*mib) && l.parked.TryAcquire(maxParked)
		for _, s := range l.addresses {
			ok = ok && s.bytes.TryAcquire(10*mib) && s.parked.TryAcquire(maxBody)
		}
		return ok
	}
	t.Run("what weighs no more than its length keeps its place", func(t *testing.T) {
		l := newShared()
		release := enter(l, "a", 10*mib)
		release, err := l.recharge(t.Context(), "a", 10*mib, 10*mib, release)
		if err != nil {
			t.Fatal(err)
		}
		if release(); !free(l) {
			t.Error("something is not given back")
		}
	})
	t.Run("what weighs more counts as its weight", func(t *testing.T) {
		l := newShared()
		release, err := l.recharge(t.Context(), "a", mib, 9*mib, enter(l, "a", mib))
		if err != nil {
			t.Fatal(err)
		}
		if l.addresses["a"].bytes.TryAcquire(2 * mib) {
			t.Error("the address has 2 MiB left beside 9 of 10")
		}
		if release(); !free(l) {
			t.Error("something is not given back")
		}
	})
	t.Run("two that both need what the other has come through", func(t *testing.T) {
		l := newShared()
		first, second := enter(l, "a", 5*mib), enter(l, "a", 5*mib)
		passed := make(chan error, 2)
		for _, release := range []func(){first, second} {
			go func() {
				release, err := l.recharge(t.Context(), "a", 3*mib, 10*mib, release)
				release()
				passed <- err
			}()
		}
		if err := errors.Join(<-passed, <-passed); err != nil {
			t.Error(err)
		}
		if !free(l) {
			t.Error("something is not given back")
		}
	})
	t.Run("who waits in vain is turned away and holds nothing", func(t *testing.T) {
		l := newShared()
		busy, release := enter(l, "a", 6*mib), enter(l, "a", mib)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		release, err := l.recharge(ctx, "a", mib, 9*mib, release)
		if !errors.Is(err, errBusy) {
			t.Errorf("error %v, want %v", err, errBusy)
		}
		release()
		if busy(); !free(l) {
			t.Error("something is not given back")
		}
	})
	t.Run("what finds no place to wait is turned away", func(t *testing.T) {
		l := newShared()
		release := enter(l, "a", mib)
		l.addresses["a"].parked.TryAcquire(maxBody)
		release, err := l.recharge(t.Context(), "a", mib, 9*mib, release)
		if !errors.Is(err, errBusy) {
			t.Errorf("error %v, want %v", err, errBusy)
		}
		l.addresses["a"].parked.Release(maxBody)
		if release(); !free(l) {
			t.Error("something is not given back")
		}
	})
}
