package config

import (
	"context"
	"crypto/sha256"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
)

// Watcher keeps the configuration of a running program up to date. It polls the files' content,
// because the kubelet replaces a ConfigMap's files by swapping a symbolic link above them, which a
// watch on the file does not see.
//
// A file that cannot be read or is invalid is logged and counted once, and the last valid
// configuration stays in force.
type Watcher struct {
	path     string
	interval time.Duration
	metrics  *Metrics
	log      logr.Logger

	current atomic.Pointer[Configuration]
	// seen identifies the last content, valid or not; unreadable is set while the file cannot be
	// read. Both are owned by the goroutine in Start.
	seen       [sha256.Size]byte
	unreadable bool
}

// ReloadInterval is how often programs check the file. The kubelet takes up to a minute to update
// it.
const ReloadInterval = 5 * time.Second

// NewWatcher loads the files. They must be valid: there is no earlier configuration to fall back
// to. metrics may be nil.
func NewWatcher(path string, interval time.Duration, metrics *Metrics, log logr.Logger) (*Watcher, error) {
	if metrics == nil {
		metrics = NewMetrics(nil)
	}
	f, err := readFiles(path)
	if err != nil {
		return nil, err
	}
	c, err := f.parse()
	if err != nil {
		return nil, fmt.Errorf("configuration %s: %w", path, err)
	}
	w := &Watcher{path: path, interval: interval, metrics: metrics, log: log.WithValues("path", path)}
	w.current.Store(c)
	w.seen = f.sum()
	return w, nil
}

// Current returns the configuration in force. It takes no lock; the result must not be modified.
func (w *Watcher) Current() *Configuration { return w.current.Load() }

// Start watches until ctx ends.
func (w *Watcher) Start(ctx context.Context) error {
	ticker := time.NewTicker(w.interval)
	defer ticker.Stop()
	w.watch(ctx, ticker.C)
	return nil
}

// NeedLeaderElection tells a controller-runtime manager to start this on every replica.
func (w *Watcher) NeedLeaderElection() bool { return false }

func (w *Watcher) watch(ctx context.Context, ticks <-chan time.Time) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks:
			w.check()
		}
	}
}

// check reads the files once.
func (w *Watcher) check() {
	f, err := readFiles(w.path)
	if err != nil {
		if !w.unreadable {
			w.unreadable = true
			w.keep(err)
		}
		return
	}
	sum := f.sum()
	if sum == w.seen && !w.unreadable {
		return
	}
	w.seen, w.unreadable = sum, false
	c, err := f.parse()
	if err != nil {
		w.keep(err)
		return
	}
	w.current.Store(c)
	w.metrics.reloaded()
	w.log.Info("configuration reloaded")
}

// keep keeps the current configuration.
func (w *Watcher) keep(err error) {
	w.metrics.failed()
	w.log.Error(err, "configuration cannot be used; the last good one stays in force")
}
