package selfcheck

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
)

const (
	// Interval is how often a replica looks: how long a grant may be unguarded before anybody is told.
	Interval = 10 * time.Second
	// timeout bounds one look, so that the next one is not late.
	timeout = 8 * time.Second
)

// Options are what a Checker works with.
type Options struct {
	// Inspect is one look at the API server.
	Inspect func(context.Context) (Finding, error)
	// Ticks says when to look again after the first look.
	Ticks <-chan time.Time
	// Changed is told of each change, with what /readyz says then, "" if all is well. It may be nil.
	Changed func(ctx context.Context, problem string)
	// Now is the clock of the metric; nil means time.Now.
	Now func() time.Time
	// Metrics may be nil.
	Metrics *Metrics
	Log     logr.Logger
}

// Checker looks again and again, and remembers the last finding.
type Checker struct {
	Options
	failing bool // the last look failed; Run's own

	mu      sync.Mutex
	problem string // what is wrong by the last look that had an answer, "" if nothing
}

// New returns a Checker that finds nothing wrong until it has looked: a replica that starts while the API server cannot
// be asked must not stay away because of that.
func New(o Options) *Checker {
	if o.Metrics == nil {
		o.Metrics = NewMetrics(prometheus.NewRegistry())
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Checker{Options: o}
}

// Run looks at once and at each tick, until ctx ends.
func (c *Checker) Run(ctx context.Context) error {
	for {
		c.check(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-c.Ticks:
		}
	}
}

// Ready says why the webhook must not be relied on, nil if it may.
func (c *Checker) Ready() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.problem == "" {
		return nil
	}
	return errors.New(c.problem)
}

// check is one look. One that fails changes nothing but the count of failures: a passing fault of the API server must
// take no replica away, and bring none back.
func (c *Checker) check(ctx context.Context) {
	start := c.Now()
	bounded, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	found, err := c.Inspect(bounded)
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		c.Metrics.failures.Inc()
		if !c.failing {
			c.Log.Error(err, "Could not find out whether the grant is guarded; what was found before still counts")
		}
		c.failing = true
		return
	}
	if c.failing {
		c.Log.Info("Can find out again whether the grant is guarded")
	}
	c.failing = false
	c.note(ctx, found.unguarded())
	c.Metrics.lookedAt(start)
}

// note remembers the gaps, and tells of a change.
func (c *Checker) note(ctx context.Context, gaps []gap) {
	c.Metrics.found(gaps)
	problem := ""
	if len(gaps) > 0 {
		problem = advise(gaps)
	}
	c.mu.Lock()
	changed := c.problem != problem
	c.problem = problem
	c.mu.Unlock()
	if !changed {
		return
	}
	if problem == "" {
		c.Log.Info("The grant is guarded again, or gone")
	} else {
		c.Log.Error(nil, "Unguarded grant", "problem", problem)
	}
	if c.Changed != nil {
		c.Changed(ctx, problem)
	}
}
