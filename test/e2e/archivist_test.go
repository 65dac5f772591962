//go:build e2e

package e2e

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/indelible-ci/indelible/pkg/archive/archiver"
	"github.com/indelible-ci/indelible/pkg/archive/controller"
	"github.com/indelible-ci/indelible/pkg/archive/index"
	"github.com/indelible-ci/indelible/pkg/archive/layout"
	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/store"
	"github.com/indelible-ci/indelible/test/harness"
)

// archivist is an archiver with its own archive, at work on the cluster in the test's process. It
// handles the runs that name it, which the installed archiver leaves alone.
type archivist struct {
	testArchive
	index    index.Index
	registry *prometheus.Registry
	// spool survives a restart.
	spool   string
	changes []func(*archiver.Options)
	stop    func()
}

// newArchivist starts an archiver that stores into s, with options changed as wanted.
func newArchivist(t *testing.T, s store.Store, mode archiver.LogMode, changes ...func(*archiver.Options)) *archivist {
	t.Helper()
	a := &archivist{spool: t.TempDir(), changes: changes,
		testArchive: testArchive{store: s, now: time.Now, class: strings.ToLower(rand.Text())},
		registry:    prometheus.NewRegistry()}
	var err error
	if a.index, err = index.Open(t.Context(), "sqlite://"+filepath.Join(t.TempDir(), "index.db")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.index.Close() })
	a.start(t, mode)
	return a
}

// start starts it, again if it was stopped.
func (a *archivist) start(t *testing.T, mode archiver.LogMode) {
	t.Helper()
	a.registry = prometheus.NewRegistry()
	options := archiver.Options{
		Cluster: "e2e", Class: a.class, Store: a.store, Index: a.index, Config: cluster.Config, Version: "e2e",
		Logs: mode, Spool: a.spool, Streams: 20, Metrics: archiver.NewMetrics(a.registry),
		Now: func() time.Time { return a.now() }, Log: loggedIfFailed(t),
	}
	for _, change := range a.changes {
		change(&options)
	}
	made, err := archiver.New(options)
	if err != nil {
		t.Fatal(err)
	}
	controller := controller.New(made)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- controller.Run(ctx) }()
	once := false
	a.stop = func() {
		if once {
			return
		}
		once = true
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(func() { a.stop() })
	if err := wait.PollUntilContextTimeout(t.Context(), 10*time.Millisecond, time.Minute, true,
		func(context.Context) (bool, error) {
			return controller.Ready() == nil, nil
		}); err != nil {
		t.Fatal(err)
	}
}

// loggedIfFailed returns a logger whose last lines are printed if the test fails.
func loggedIfFailed(t *testing.T) logr.Logger {
	const most = 200
	var mu sync.Mutex
	var lines []string
	t.Cleanup(func() {
		mu.Lock()
		defer mu.Unlock()
		if t.Failed() {
			t.Logf("the archiver's last lines:\n%s", strings.Join(lines, "\n"))
		}
	})
	return funcr.New(func(prefix, args string) {
		mu.Lock()
		defer mu.Unlock()
		lines = append(lines, prefix+" "+args)
		lines = lines[max(0, len(lines)-most):]
	}, funcr.Options{LogTimestamp: true, Verbosity: 1})
}

// commits are those of all runs in the archive, in the order of their keys.
func (a *testArchive) commits(p *place) []*manifest.Commit {
	p.t.Helper()
	var all []*manifest.Commit
	for info, err := range a.store.List(p.ctx, layout.Cluster("e2e").Commits(), "") {
		if err != nil {
			p.t.Fatal(err)
		}
		c, err := manifest.Read(p.ctx, a.store, info.Key)
		if err != nil {
			p.t.Fatal(err)
		}
		all = append(all, c)
	}
	return all
}

// commit waits until a run is in the archive, and returns its commit.
func (a *testArchive) commit(p *place, kind, name string) *manifest.Commit {
	p.t.Helper()
	var found *manifest.Commit
	p.eventually(kind+" "+name+" in the archive", func() (bool, error) {
		for _, c := range a.commits(p) {
			if c.Run.Kind == kind && c.Run.Namespace == p.namespace && c.Run.Name == name {
				found = c
			}
		}
		return found != nil, nil
	})
	return found
}

// partsOf returns the parts of a type. There must be one.
func partsOf(c *manifest.Commit, of manifest.PartType) (parts []manifest.Part) {
	for _, p := range c.Parts {
		if p.Type == of {
			parts = append(parts, p)
		}
	}
	if parts == nil {
		panic("the commit of " + c.Run.Name + " has no " + string(of))
	}
	return parts
}

// entrypointTime is the prefix of lines that Tekton's entrypoint prints itself.
var entrypointTime = regexp.MustCompile(`(?m)^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d `)

// logsOf describes a commit's logs: container, attempt, state, and the log's words or why there is
// none.
func (a *testArchive) logsOf(p *place, c *manifest.Commit) []string {
	p.t.Helper()
	var logs []string
	for _, part := range c.Parts {
		if part.Type != manifest.Log {
			continue
		}
		text := part.Reason
		if part.State == manifest.Truncated {
			p.t.Logf("the log of %s is truncated: %s", part.Container, part.Reason)
		}
		if part.State != manifest.Missing {
			text = strings.Join(strings.Fields(entrypointTime.ReplaceAllString(a.content(p, part), "")), " ")
		}
		logs = append(logs, fmt.Sprintf("%s %d %s: %s", part.Container, part.Attempt, part.State, text))
	}
	return logs
}

// indexed checks that the index has the run as the commit has it.
func (a *archivist) indexed(p *place, c *manifest.Commit) {
	p.t.Helper()
	row, err := a.index.Get(p.ctx, "e2e", c.Run.UID)
	if err != nil {
		p.t.Error(err)
		return
	}
	if diff := cmp.Diff(c.Bare(), row.Commit); diff != "" {
		p.t.Errorf("the index has another commit: %s", diff)
	}
	if got, want := string(row.Record), a.content(p, c.Parts[0]); got != want {
		p.t.Errorf("the index has another run: %s, the commit %s", fingerprint([]byte(got)), fingerprint([]byte(want)))
	}
}

// metric returns a gauge or counter of the archiver by its one label's value.
func (a *archivist) metric(t *testing.T, name, label string) float64 {
	t.Helper()
	families, err := a.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, m := range family.GetMetric() {
			if len(m.GetLabel()) == 0 && label == "" || len(m.GetLabel()) == 1 && m.GetLabel()[0].GetValue() == label {
				return m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
	}
	return 0
}

// eventually polls for conditions that cannot be watched.
func (p *place) eventually(what string, done func() (bool, error)) {
	p.t.Helper()
	if err := harness.Eventually(p.ctx, what, done); err != nil {
		p.t.Fatal(err)
	}
}

func directory(t *testing.T) store.Store {
	t.Helper()
	s, err := store.NewDirectory(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// holdingStore lets nothing be created before hold is closed.
type holdingStore struct {
	store.Store
	hold chan struct{}
}

func (h *holdingStore) Create(ctx context.Context, key string, body io.Reader) error {
	select {
	case <-h.hold:
		return h.Store.Create(ctx, key, body)
	case <-ctx.Done():
		return ctx.Err()
	}
}
