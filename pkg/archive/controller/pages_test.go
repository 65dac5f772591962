package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/indelible-ci/indelible/pkg/archive/run"
)

// fakeList is an API server's list of runs, sorted by key. Some are too large to share a page.
type fakeList struct {
	runs  []run.Listed
	large map[string]bool
	// fails is the page, counted from 1, that fails; 0 for none.
	fails int

	mu    sync.Mutex
	pages int
}

func (f *fakeList) page(_ context.Context, limit int, next string) ([]run.Listed, string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	from, _ := strconv.Atoi(next)
	to := min(from+limit, len(f.runs))
	if to-from > 1 && slices.ContainsFunc(f.runs[from:to], func(l run.Listed) bool { return f.large[l.Name] }) {
		return nil, "", run.ErrPageTooLarge
	}
	if f.pages++; f.pages == f.fails {
		return nil, "", errors.New("the continue parameter is too old")
	}
	if to == len(f.runs) {
		return f.runs[from:to], "", nil
	}
	return f.runs[from:to], strconv.Itoa(to), nil
}

// Each run is taken from a page once, as listed. The table says which must be read one by one.
func TestPages(t *testing.T) {
	const runs = 3*pageRuns + 7
	all := func(int) bool { return false }
	for name, tt := range map[string]struct {
		changed []int
		large   []int
		fails   int
		order   func([]int) []int
		alone   func(i int) bool
	}{
		"in the order of the list": {alone: all},
		"some of which have changed since": {
			changed: []int{3, 250}, alone: func(i int) bool { return i == 3 || i == 250 },
		},
		"some of which are too large": {large: []int{10, 11, 300}, alone: all},
		"until a page cannot be had":  {fails: 2, alone: func(i int) bool { return i >= pageRuns }},
		"a little out of order, as workers": {order: func(of []int) []int { slices.Reverse(of[190:210]); return of },
			alone: all},
		"one that is asked for too late": {order: func(of []int) []int {
			return append(append(slices.Clone(of[:5]), of[6:]...), of[5])
		}, alone: func(i int) bool { return i == 5 }},
	} {
		t.Run(name, func(t *testing.T) {
			list := &fakeList{large: map[string]bool{}, fails: tt.fails}
			var order []int
			nameOf := func(i int) string { return fmt.Sprintf("run-%05d", i) }
			for i := range runs {
				list.runs = append(list.runs, run.Listed{Namespace: "team", Name: nameOf(i), Object: []byte(nameOf(i))})
				order = append(order, i)
			}
			for _, i := range tt.large {
				list.large[nameOf(i)] = true
			}
			if tt.order != nil {
				order = tt.order(order)
			}
			p := newPages(t.Context(), list.page, "team/run-99999")
			defer p.stop()
			ref := func(i int) run.Reference {
				return run.Reference{Kind: "TaskRun", Namespace: "team",
					Name: nameOf(i)}
			}
			for _, i := range tt.changed {
				p.invalidate(ref(i))
			}
			for _, i := range order {
				got, want := string(p.take(ref(i))), nameOf(i)
				if tt.alone(i) {
					want = ""
				}
				if got != want {
					t.Fatalf("run %d: got %q, want %q", i, got, want)
				}
			}
			if again := p.take(ref(order[runs-1])); again != nil {
				t.Errorf("a run is given twice: %q", again)
			}
		})
	}
}

// Many workers take concurrently.
func TestPagesConcurrently(t *testing.T) {
	list := &fakeList{}
	const runs = 2000
	for i := range runs {
		list.runs = append(list.runs,
			run.Listed{Namespace: "team", Name: fmt.Sprintf("run-%05d", i), Object: []byte("x")})
	}
	p := newPages(t.Context(), list.page, "team/run-99999")
	defer p.stop()
	next := make(chan run.Reference)
	var group sync.WaitGroup
	var mu sync.Mutex
	given := 0
	for range workers {
		group.Go(func() {
			for ref := range next {
				if p.take(ref) != nil {
					mu.Lock()
					given++
					mu.Unlock()
				}
			}
		})
	}
	for _, l := range list.runs {
		next <- run.Reference{Kind: "TaskRun", Namespace: l.Namespace, Name: l.Name}
	}
	close(next)
	group.Wait()
	if given < runs-2*workers { // one that is overtaken by two pages is read by itself
		t.Errorf("%d of %d came from pages", given, runs)
	}
}

func TestWhetherPagesPay(t *testing.T) {
	for name, tt := range map[string]struct {
		waiting, all int
		want         bool
	}{
		"a few runs":                           {10, 10, false},
		"many, and nothing else":               {pagesFrom, pagesFrom, true},
		"many among as many that are archived": {pagesFrom, 2 * pagesFrom, true},
		"many among a great many":              {pagesFrom, 11 * pagesFrom, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := pays(tt.waiting, tt.all); got != tt.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

// Runs after the last waiting one are not listed, and the goroutine ends.
func TestPagesEnd(t *testing.T) {
	list := &fakeList{}
	for i := range 10 * pageRuns {
		list.runs = append(list.runs,
			run.Listed{Namespace: "team", Name: fmt.Sprintf("run-%05d", i), Object: []byte("x")})
	}
	last := list.runs[pageRuns+5]
	p := newPages(t.Context(), list.page, keyOf(last.Namespace, last.Name))
	if p.take(run.Reference{Namespace: last.Namespace, Name: last.Name}) == nil {
		t.Error("the last one is not there")
	}
	for range p.ahead {
		t.Error("there is another page")
	}
	if list.pages != 2 {
		t.Errorf("%d pages, want 2", list.pages)
	}
}

// A page that is too large does not make all following ones small.
func TestPagesGrowAgain(t *testing.T) {
	list := &fakeList{large: map[string]bool{"run-00010": true, "run-00011": true}}
	const runs = 10 * pageRuns
	for i := range runs {
		list.runs = append(list.runs,
			run.Listed{Namespace: "team", Name: fmt.Sprintf("run-%05d", i), Object: []byte("x")})
	}
	p := newPages(t.Context(), list.page, "team/run-99999")
	for i, l := range list.runs {
		if p.take(run.Reference{Namespace: l.Namespace, Name: l.Name}) == nil {
			t.Fatalf("run %d is not there", i)
		}
	}
	if list.pages > 40 {
		t.Errorf("%d pages for %d runs", list.pages, runs)
	}
}

// If most runs have changed, the pages are given up.
func TestPagesOfRunsThatChange(t *testing.T) {
	list := &fakeList{}
	for i := range 10 * pageRuns {
		list.runs = append(list.runs,
			run.Listed{Namespace: "team", Name: fmt.Sprintf("run-%05d", i), Object: []byte("x")})
	}
	p := newPages(t.Context(), list.page, "team/run-99999")
	for i := range maxChanged + 1 {
		p.invalidate(run.Reference{Namespace: "other", Name: fmt.Sprint(i)})
	}
	if p.take(run.Reference{Namespace: "team", Name: "run-00000"}) != nil {
		t.Error("it may have changed")
	}
	for range p.ahead { // ends only when the listing has
	}
}

// An expired list is continued with the API server's token.
func TestPagesOfAListThatIsTooOld(t *testing.T) {
	old := apierrors.NewResourceExpired("too old")
	old.ErrStatus.Continue = "inconsistent"
	asked := []string{}
	p := newPages(t.Context(), func(_ context.Context, _ int, next string) ([]run.Listed, string, error) {
		asked = append(asked, next)
		switch next {
		case "":
			return []run.Listed{{Namespace: "team", Name: "a", Object: []byte("a")}}, "first", nil
		case "first":
			return nil, "", fmt.Errorf("list: %w", old)
		}
		return []run.Listed{{Namespace: "team", Name: "b", Object: []byte("b")}}, "", nil
	}, "team/b")
	for _, name := range []string{"a", "b"} {
		if got := p.take(run.Reference{Namespace: "team", Name: name}); string(got) != name {
			t.Errorf("got %q, want %s", got, name)
		}
	}
	for range p.ahead {
	}
	if want := []string{"", "first", "inconsistent"}; !slices.Equal(asked, want) {
		t.Errorf("asked %q, want %q", asked, want)
	}
}
