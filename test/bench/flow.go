package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/run"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

const (
	// flowRate is how many TaskRuns come in an hour. Each step prints flowLines; those of one run
	// in flowLarge print largeLines, which are over 5 MB.
	flowRate, flowLines, flowLarge, largeLines = 10_000, 100, 20, 60_000
	// runsStay is how long a finished run and its pod stay in the cluster, eventsStay how long
	// events do.
	runsStay, eventsStay = 3 * time.Minute, 10 * time.Minute
	// flowSample is how often the archiver is looked at.
	flowSample = 5 * time.Second
)

// flowTask is recorded and replayed: two steps of about nine seconds.
const flowTask = `
apiVersion: tekton.dev/v1
kind: TaskRun
metadata:
  name: NAME
  labels: {indelible.dev/archiver: CLASS, app: shop}
  annotations: {build.example.test/commit: DIGEST}
  finalizers: [FINALIZER]
spec:
  params:
  - {name: url, value: "https://git.example.test/shop/checkout.git"}
  - {name: revision, value: DIGEST}
  taskSpec:
    params:
    - {name: url, type: string, description: Where the repository is}
    - {name: revision, type: string, description: The commit that is fetched}
    results:
    - {name: commit, type: string, description: The commit that was fetched}
    steps:
    - name: clone
      image: IMAGE
      env: [{name: URL, value: $(params.url)}, {name: REVISION, value: $(params.revision)}]
      script: |
        #!/bin/sh
        set -eu
        sleep 9
        printf '%s' "$REVISION" > $(results.commit.path)
    - name: build
      image: IMAGE
      env: [{name: TARGET, value: "registry.example.test/shop/checkout:$(params.revision)"}]
      script: |
        #!/bin/sh
        set -eu
        sleep 9
        echo "$TARGET"
`

// flow is runs that come and go.
type flow struct {
	*bench
	*recording
	kubelet *fakeKubelet
	runs    int
	block   [][]byte
	// late is how late the end of each run was written: a machine that is too busy makes no such
	// rate.
	late []time.Duration
	lock sync.Mutex
}

// flow measures the archiver's memory while runs come at a rate, with pods, events and logs, into
// S3. The API server, etcd, the S3 server and the archiver are real; the pods are on a fake
// kubelet, and what Tekton and Kubernetes write of each is replayed. Tekton and the installed
// archiver work beside it, and see that those runs are not theirs.
func (b *bench) flow(ctx context.Context) (rows []row, err error) {
	if b.etcd == nil {
		return nil, errNeedsEtcd
	}
	f := &flow{bench: b, runs: b.minutes * flowRate / 60, block: bytes.SplitAfter(logBlock(), []byte("\n"))}
	f.block = f.block[:len(f.block)-1] // what follows the last end of a line is nothing
	note("%d TaskRuns in %d minutes", f.runs, b.minutes)
	const recorded = "flow-recorded"
	names := strings.NewReplacer("NAME", recorded, "CLASS", b.class, "DIGEST", digest(20), "FINALIZER", run.Finalizer)
	if f.recording, err = b.record(ctx, recorded, names.Replace(flowTask)); err != nil {
		return nil, err
	}
	kubeletContext, cancel := context.WithCancel(ctx)
	defer cancel()
	pki := filepath.Join(filepath.Dir(os.Getenv("KUBECONFIG")), "pki")
	if f.kubelet, err = startFakeKubelet(kubeletContext, b.cluster.Kube, "fake-kubelet-"+b.namespace, pki); err != nil {
		return nil, err
	}
	s3, err := b.startS3("flow-s3")
	if err != nil {
		return nil, errors.Join(err, f.kubelet.stop())
	}
	defer func() {
		clean := context.WithoutCancel(ctx)
		for _, resource := range []string{"pods", "events"} { // no kubelet would end pods that run
			err = errors.Join(err, b.etcd.deleteBelow(clean, f.key(resource, "")))
		}
		err = errors.Join(err, b.removeRuns(clean))
		cancel()
		err = errors.Join(err, f.kubelet.stop(), s3.stop())
	}()
	s3.logs = "follow"
	return f.measure(ctx, s3.setting)
}

func (f *flow) measure(ctx context.Context, s setting) (rows []row, err error) {
	if err := f.removeRuns(ctx); err != nil { // the recorded one
		return nil, err
	}
	p, err := f.startArchiver(ctx, "flow", s)
	if err != nil {
		return nil, err
	}
	var seen watched
	watching, end := context.WithCancel(ctx)
	defer end()
	if err = f.ready(ctx, p); err == nil {
		all, coming := errgroup.WithContext(ctx)
		all.Go(func() error { return seen.watch(watching, p) })
		all.Go(func() error {
			defer end()
			return f.come(coming)
		})
		if err = all.Wait(); err == nil {
			_, err = f.outcome(ctx, p, "archived", f.runs, time.Now())
		}
	}
	peak, stopErr := p.stop()
	if err = errors.Join(err, stopErr); err != nil {
		return nil, err
	}
	content, events, err := f.compare(ctx, filepath.Join(f.folder, "flow-s3", "archive"))
	if err == nil {
		err = f.fsck(ctx, p.folder, s)
	}
	first, last := seen.quarters()
	what := fmt.Sprintf("peak of memory with %d TaskRuns an hour for %d minutes, with pods and events, the logs of "+
		"one in %d of %.1f MB each, into S3", flowRate, f.minutes, flowLarge, float64(largeLines*len(f.block[0]))/1e6)
	return []row{
		atMost(what, float64(peak)/mib, 200, "MiB"),
		atMost("memory in the last quarter by that in the first (medians)", float64(last)/float64(first), 1.1, ""),
		says("the two", "%.0f, %.0f MiB", float64(first)/mib, float64(last)/mib),
		says("runs archived, all of whose logs are in the archive as they were printed",
			"%d of %d, %.1f GB of logs, %.1f events a run", f.runs, f.runs, content/1e9, events/float64(f.runs)),
		atMost("how late runs were replayed, p99: above that the rate was another", quantile(f.late, .99).Seconds(),
			5, "s"),
		says("most runs that waited at a time, and the longest wait", "%.0f, %.1f s", seen.backlog, seen.oldest),
	}, err
}

// come has runs come one by one, and go after a while. It returns when the last has ended.
func (f *flow) come(ctx context.Context) error {
	all, ctx := errgroup.WithContext(ctx)
	began := time.Now()
	for i := range f.runs {
		if sleep(ctx, time.Until(began.Add(time.Duration(i)*time.Hour/flowRate))) != nil {
			break
		}
		all.Go(func() error {
			err := f.one(ctx, i)
			time.AfterFunc(runsStay, func() { f.delete(ctx, i) })
			return err
		})
	}
	return all.Wait()
}

// one is a run from its creation to its end.
func (f *flow) one(ctx context.Context, i int) error {
	name, began := f.nameOf(i), time.Now()
	for step, c := range f.steps {
		from, to := f.speaks(step)
		f.kubelet.add(container{name + "-pod", c}, f.log(i, step, began.Add(from), began.Add(to)))
	}
	// At its end etcd deletes what was written with it: that is how the API server forgets events.
	var lease struct{ ID string }
	if err := f.etcd.Post(ctx, "lease/grant", map[string]any{"TTL": int(eventsStay.Seconds())}, &lease); err != nil {
		return err
	}
	late, err := f.replay(ctx, name, f.kubelet.name, func(resource, object string, stored []byte) error {
		request := map[string]any{"key": []byte(f.key(resource, object)), "value": stored}
		if resource == "events" {
			request["lease"] = lease.ID
		}
		err := f.etcd.Post(ctx, "kv/put", request, nil)
		for try := 0; err != nil && try < 10 && sleep(ctx, time.Second) == nil; try++ { // an hour is worth it
			err = f.etcd.Post(ctx, "kv/put", request, nil)
		}
		return err
	})
	f.lock.Lock()
	defer f.lock.Unlock()
	f.late = append(f.late, late)
	return err
}

// delete has the garbage collector delete the pod. A run that stays does no harm.
func (f *flow) delete(ctx context.Context, i int) {
	for _, c := range f.steps {
		f.kubelet.add(container{f.nameOf(i) + "-pod", c}, nil)
	}
	runs := f.cluster.Tekton.TektonV1().TaskRuns(f.namespace)
	if err := runs.Delete(ctx, f.nameOf(i), metav1.DeleteOptions{}); err != nil && ctx.Err() == nil {
		note("%v", err)
	}
}

func (f *flow) nameOf(i int) string { return fmt.Sprintf("flow-%06d", i) }

// log is what a step of run i prints.
func (f *flow) log(i, step int, from, to time.Time) *fakeLog {
	l := &fakeLog{block: f.block, first: i*7919 + step, lines: flowLines, began: from, ended: to}
	if i%flowLarge == 0 {
		l.lines = largeLines
	}
	return l
}

func (f *flow) key(resource, name string) string {
	if resource == "taskruns" {
		return f.prefix(resource) + name
	}
	return "/registry/" + resource + "/" + f.namespace + "/" + name
}

// compare reads all logs in the archive, and fails unless each is what was printed. It returns
// their bytes, and how many events there are.
func (f *flow) compare(ctx context.Context, archive string) (content, events float64, err error) {
	in, err := store.NewDirectory(archive)
	if err != nil {
		return 0, 0, err
	}
	runs := map[string]bool{}
	for c, err := range commits(ctx, archive) {
		if err != nil {
			return 0, 0, err
		}
		var i, logs int
		if _, err := fmt.Sscanf(c.Run.Name, "flow-%d", &i); err != nil {
			return 0, 0, err
		}
		for j := range c.Parts {
			p := &c.Parts[j]
			if p.Type == manifest.Events {
				events += float64(bytes.Count(p.Inline, []byte(`"involvedObject"`)))
			}
			if p.Type != manifest.Log {
				continue
			}
			if err := f.compareLog(ctx, in, i, p); err != nil {
				return 0, 0, fmt.Errorf("log of %s in %s: %w", p.Container, c.Run.Name, err)
			}
			content += float64(p.Content.Bytes)
			logs++
		}
		if logs != len(f.steps) {
			return 0, 0, fmt.Errorf("%s has %d logs, want %d", c.Run.Name, logs, len(f.steps))
		}
		runs[c.Run.Name] = true
	}
	if len(runs) != f.runs {
		return 0, 0, fmt.Errorf("%d runs are in the archive, want %d", len(runs), f.runs)
	}
	return content, events, nil
}

func (f *flow) compareLog(ctx context.Context, in store.Store, i int, p *manifest.Part) error {
	if p.State != manifest.Complete {
		return fmt.Errorf("%s: %s", p.State, p.Reason)
	}
	from, err := manifest.Open(ctx, in, p)
	if err != nil {
		return err
	}
	defer from.Close()
	got, want := sha256.New(), sha256.New()
	if _, err := io.Copy(got, from); err != nil {
		return err
	}
	l := f.log(i, slices.Index(f.steps, p.Container), time.Time{}, time.Time{})
	for line := range l.lines {
		_, _ = want.Write(l.line(line))
	}
	if !bytes.Equal(got.Sum(nil), want.Sum(nil)) {
		return fmt.Errorf("%d bytes, not what was printed (%s)", p.Content.Bytes, hex.EncodeToString(want.Sum(nil)))
	}
	return nil
}

// watched is what was seen of an archiver now and then.
type watched struct {
	memory          []int64
	backlog, oldest float64
}

func (w *watched) watch(ctx context.Context, p *process) error {
	for sleep(ctx, flowSample) == nil {
		s, err := p.samples(ctx)
		if err != nil { // the machine may be too busy now and then
			select {
			case <-p.ended:
				text, _ := os.ReadFile(p.log.Name())
				return fmt.Errorf("the archiver ended: %s", text[max(len(text)-1000, 0):])
			default:
			}
			continue
		}
		memory, waits := int64(s.sum("process_resident_memory_bytes")), s.sum("indelible_archive_waiting_runs")
		w.memory, w.backlog = append(w.memory, memory), max(w.backlog, waits)
		for name, value := range s {
			if strings.HasPrefix(name, "indelible_archive_oldest_waiting_seconds") {
				w.oldest = max(w.oldest, value)
			}
		}
		if len(w.memory)%int(time.Minute/flowSample) == 0 {
			heap, streams := s.sum("go_memstats_heap_inuse_bytes"), s.sum("indelible_archive_streams")
			note("%d MiB, of which heap %.0f; %.0f streams; %.0f runs archived, %.0f wait", memory/mib, heap/mib,
				streams,
				s.sum("indelible_archive_runs_total", `outcome="archived"`), waits)
		}
	}
	return nil
}

// quarters are the medians of the first and the last of what was seen.
func (w *watched) quarters() (first, last int64) {
	n := max(len(w.memory)/4, 1)
	median := func(all []int64) int64 {
		if len(all) == 0 {
			return 0
		}
		return slices.Sorted(slices.Values(all))[len(all)/2]
	}
	return median(w.memory[:min(n, len(w.memory))]), median(w.memory[max(len(w.memory)-n, 0):])
}
