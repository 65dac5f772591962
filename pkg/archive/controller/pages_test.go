package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/indelible-ci/indelible/pkg/archive/observed"
	"github.com/indelible-ci/indelible/pkg/archive/run"
)

// fakeList is an API server's list of runs, in the order of their keys, of which some are too large to be in a page with others.
type fakeList struct {
	runs  []run.Listed
	large map[string]bool
	// fails is the page, counted from 1, that cannot be had; 0 for none.
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

// Each run comes from a page once, as it was listed; which must be read by themselves is known from the case.
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
		"in the order of the list":          {alone: all},
		"some of which have changed since":  {changed: []int{3, 250}, alone: func(i int) bool { return i == 3 || i == 250 }},
		"some of which are too large":       {large: []int{10, 11, 300}, alone: all},
		"until a page cannot be had":        {fails: 2, alone: func(i int) bool { return i >= pageRuns }},
		"a little out of order, as workers": {order: func(of []int) []int { slices.Reverse(of[190:210]); return of }, alone: all},
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
			p := newPages(t.Context(), list.page)
			defer p.stop()
			ref := func(i int) run.Reference { return run.Reference{Kind: "TaskRun", Namespace: "team", Name: nameOf(i)} }
			for _, i := range tt.changed {
				p.saw(ref(i))
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

// Many workers take at once.
func TestPagesConcurrently(t *testing.T) {
	list := &fakeList{}
	const runs = 2000
	for i := range runs {
		list.runs = append(list.runs, run.Listed{Namespace: "team", Name: fmt.Sprintf("run-%05d", i), Object: []byte("x")})
	}
	p := newPages(t.Context(), list.page)
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
		waiting, others int
		want            bool
	}{
		"a few runs":                           {10, 0, false},
		"many, and nothing else":               {pagesFrom, 0, true},
		"many among as many that are archived": {pagesFrom, pagesFrom, true},
		"many among a great many":              {pagesFrom, 10 * pagesFrom, false},
	} {
		t.Run(name, func(t *testing.T) {
			var all []*observed.Run
			for range tt.waiting {
				all = append(all, &observed.Run{Finished: true})
			}
			for range tt.others {
				all = append(all, &observed.Run{Finished: true, Released: true})
			}
			if got := pays(all, func(s *observed.Run) bool { return s.Finished && !s.Released }); got != tt.want {
				t.Errorf("got %v", got)
			}
		})
	}
}
