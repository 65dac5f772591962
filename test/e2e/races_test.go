//go:build e2e

package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	pipelinev1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
)

const (
	// racers is how many TaskRuns are written at a time. More than the processors of a small
	// machine: the writes of several then meet in the API server, in etcd and in both webhooks.
	racers = 12
	// rounds is how many interleavings one TaskRun sees.
	rounds = 25
	// attemptRounds is how many rounds an attempt has at most; one in so many is a retry besides.
	// It keeps the objects small, whose size would only make each write slower.
	attemptRounds = 12
	// seedVariable of the environment repeats a run that failed: same TaskRuns, same writes, same
	// order.
	seedVariable = "INDELIBLE_SEED"
)

// TestRaces lets pods publish while a controller puts its status over it, as Tekton's does: it
// works on a copy that may be old, is told of a conflict, reads again and puts the whole status it
// had in mind. In 10,000 interleavings (500 in the short form), half of them in an order drawn from
// a seed, half truly at a time:
//
//   - a result whose write was acknowledged is there ever after, unchanged, until a retry or for
//     good;
//   - a result whose write was refused is never seen;
//   - every version that the API server stores holds the former's results, first and in their order
//     (a watch sees them all);
//   - each attempt of a retried TaskRun starts with none, whatever the pod of the former attempt
//     still writes.
//
// All writes pass the real API server, Tekton's webhooks, the guard and the policy. The TaskRuns
// name another controller in spec.managedBy, so that only the test plays Tekton's.
func TestRaces(t *testing.T) {
	interleavings := often(10_000, 500)
	p := newLongPlace(t, 20*time.Minute)
	seed := seedOf(t)
	started := time.Now()
	field := newRaceField(p)
	versions := watchVersions(p)

	runs := make(chan int)
	var all sync.WaitGroup
	for range racers {
		all.Add(1)
		go func() {
			defer all.Done()
			for i := range runs {
				r, err := field.run(i, rand.New(rand.NewPCG(seed, uint64(i))))
				if err != nil {
					t.Errorf("TaskRun race-%d, %s=%d: %v\nits last writes:\n%s", i, seedVariable, seed, err, r.told())
				}
			}
		}()
	}
	for i := 0; i < interleavings/rounds && !t.Failed(); i++ {
		runs <- i
	}
	close(runs)
	all.Wait()

	for _, err := range field.finalErrors() {
		t.Error(err)
	}
	seen := versions.stop()
	for _, err := range seen.broken {
		t.Errorf("%s=%d: %v", seedVariable, seed, err)
	}
	t.Logf("%d interleavings on %d TaskRuns in %s: %s; %d versions watched",
		interleavings, interleavings/rounds, time.Since(started).Round(time.Second), field.tally(), seen.versions)
	field.wantContact(t)
}

func seedOf(t *testing.T) uint64 {
	t.Helper()
	text := os.Getenv(seedVariable)
	if text == "" {
		return uint64(time.Now().UnixNano())
	}
	seed, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("reading %s: %v", seedVariable, err)
	}
	return seed
}

// run races one TaskRun to its end.
func (f *raceField) run(i int, rng *rand.Rand) (*race, error) {
	r := &race{raceField: f, name: fmt.Sprintf("race-%d", i), rng: rng}
	if err := r.create(); err != nil {
		return r, err
	}
	for round := range rounds - 1 {
		r.round = round
		if err := r.interleave(r.writers()); err != nil {
			return r, fmt.Errorf("round %d: %w", round, err)
		}
		if err := r.check(); err != nil {
			return r, fmt.Errorf("after round %d: %w", round, err)
		}
	}
	r.round = rounds - 1
	return r, r.finish()
}

// writers draws who writes in a round.
func (r *race) writers() []writer {
	if r.round-r.began >= attemptRounds || r.rng.IntN(attemptRounds) == 0 {
		return []writer{r.newPublish("a"), r.newRetry()}
	}
	writers := []writer{r.newPublish("a"), r.newOverwrite()}
	switch r.rng.IntN(4) {
	case 0:
		writers = append(writers, r.newMeddler())
	case 1:
		writers = append(writers, r.newPublish("b")) // another container of the same pod
	}
	return writers
}

// interleave runs writers against each other: either one API request at a time, whose order the
// seed draws, or all at once.
func (r *race) interleave(writers []writer) error {
	if r.rng.IntN(2) == 0 {
		return r.atOnce(writers)
	}
	for len(writers) > 0 {
		i := r.rng.IntN(len(writers))
		done, err := writers[i].next()
		if err != nil {
			return err
		}
		if done {
			writers = append(writers[:i], writers[i+1:]...)
		}
	}
	return nil
}

func (r *race) atOnce(writers []writer) error {
	errs := make(chan error, len(writers))
	for _, w := range writers {
		go func() {
			for {
				done, err := w.next()
				if done || err != nil {
					errs <- err
					return
				}
			}
		}()
	}
	var first error
	for range writers {
		if err := <-errs; err != nil && first == nil {
			first = err
		}
	}
	return first
}

// finish lets the controller end the TaskRun while its pod still writes, and then tries to write
// once more.
func (r *race) finish() error {
	if err := r.interleave([]writer{r.newPublish("a"), r.newFinish()}); err != nil {
		return fmt.Errorf("at the end: %w", err)
	}
	late := r.newPublish("b")
	if _, err := late.next(); err != nil {
		return err
	}
	if late.took {
		return fmt.Errorf("a result was taken after the TaskRun had ended")
	}
	if err := r.check(); err != nil {
		return fmt.Errorf("at the end: %w", err)
	}
	r.keep()
	return nil
}

// check reads the TaskRun and compares it with what was acknowledged.
func (r *race) check() error {
	tr, err := cluster.TaskRun(r.p.ctx, r.p.namespace, r.name)
	if err != nil {
		return err
	}
	return r.holds(tr)
}

// holds reports whether a version of the TaskRun has exactly the results acknowledged in this
// attempt.
func (r *race) holds(tr *pipelinev1.TaskRun) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	stored := flatten(tr)
	if len(stored) != len(r.acknowledged) {
		return fmt.Errorf("%d results are stored, %d were acknowledged", len(stored), len(r.acknowledged))
	}
	for _, s := range stored {
		if want, ok := r.acknowledged[s.place]; !ok || want != s.value {
			return fmt.Errorf("%s is not as acknowledged", s.place)
		}
	}
	return nil
}
