//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	pipelinev1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"

	"github.com/indelible-ci/indelible/test/harness"
)

// burstBytes is the size of each result of a burst: beyond what a termination message could ever
// hold.
const burstBytes = 100_000

// TestBurst creates 200 TaskRuns at once (20 in the short form), through Tekton's own controller,
// each publishing 100 KB of its own. All must succeed with their own value. It prints how long
// publishing took, and the most memory a webhook replica used.
func TestBurst(t *testing.T) {
	n := often(200, 20)
	p := newLongPlace(t, 25*time.Minute)
	before, err := cluster.StatusWriteTimes(p.ctx)
	if err != nil {
		t.Fatal(err)
	}
	memory := watchMemory(p.ctx)
	started := time.Now()
	b := newBurst(p, n, "")
	b.wantValues(t)
	took := time.Since(started)
	after, err := cluster.StatusWriteTimes(p.ctx)
	if err != nil {
		t.Fatal(err)
	}
	times := after.Since(before)
	if times.Count() < n {
		t.Errorf("the API server counted %d writes for %d TaskRuns", times.Count(), n)
	}
	t.Logf("%d TaskRuns, %d bytes each, all done after %s", n, burstBytes, took.Round(time.Second))
	for _, q := range []float64{.5, .99} {
		lower, upper := times.Quantile(q)
		t.Logf("p%.0f of %d writes of a status, as the API server measured them: over %g s, at most %g s", 100*q,
			times.Count(), lower, upper)
	}
	t.Log(memory.stop())
}

// burst is a number of TaskRuns that were created at once.
type burst struct {
	p *place
	n int
}

// newBurst creates TaskRuns burst-0, burst-1 … whose step runs a command, then writes its value.
func newBurst(p *place, n int, first string) burst {
	p.t.Helper()
	errs := make(chan error, n)
	slots := make(chan struct{}, 16)
	for i := range n {
		go func() {
			slots <- struct{}{}
			errs <- cluster.Create(p.ctx, p.namespace, burstTaskRun(i, first))
			<-slots
		}()
	}
	for range n {
		if err := <-errs; err != nil {
			p.t.Fatal(err)
		}
	}
	return burst{p, n}
}

func burstTaskRun(i int, first string) string {
	mark := burstMark(i)
	yaml := taskRunOf(`- {name: text}`, first+fmt.Sprintf("\n{ printf '%s'; %s; } > $(results.text.path)",
		mark, strings.TrimSuffix(writeSample(burstBytes-len(mark), "text"), " > $(results.text.path)")))
	return harness.WithImage(strings.Replace(yaml, "{name: run}", "{name: "+burstName(i)+"}", 1))
}

func burstName(i int) string { return fmt.Sprintf("burst-%d", i) }
func burstMark(i int) string { return fmt.Sprintf("value of TaskRun %d: ", i) }

// wantValues waits for all TaskRuns, and checks that each succeeded with its own value.
func (b burst) wantValues(t *testing.T) {
	t.Helper()
	for i := range b.n {
		tr := b.p.taskRun(burstName(i))
		taskRunSucceeded(t, tr)
		mark := burstMark(i)
		wantResults(t, tr.Status.Results,
			map[string]*pipelinev1.ResultValue{"text": text(mark + sample(burstBytes-len(mark)))})
	}
}

// memoryWatch samples the webhook replicas' memory.
type memoryWatch struct {
	cancel  context.CancelFunc
	ended   sync.WaitGroup
	samples int
	peak    float64
}

// betweenLooks is short compared with a burst, and long compared with taking a sample.
const betweenLooks = 500 * time.Millisecond

func watchMemory(ctx context.Context) *memoryWatch {
	ctx, cancel := context.WithCancel(ctx)
	w := &memoryWatch{cancel: cancel}
	w.ended.Add(1)
	go func() {
		defer w.ended.Done()
		for ctx.Err() == nil {
			// A replica that does not answer is sampled the next time.
			replicas, _ := cluster.ReplicaMetrics(ctx, memorySample)
			for _, samples := range replicas {
				w.samples++
				w.peak = max(w.peak, samples[memorySample])
			}
			select {
			case <-ctx.Done():
			case <-time.After(betweenLooks):
			}
		}
	}()
	return w
}

// memorySample is the resident set of the process, which Prometheus' client reads from /proc.
const memorySample = "process_resident_memory_bytes"

func (w *memoryWatch) stop() string {
	w.cancel()
	w.ended.Wait()
	return fmt.Sprintf("largest %s of a webhook replica: %.0f MiB, of %d looks", memorySample, w.peak/(1<<20),
		w.samples)
}
