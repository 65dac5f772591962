package selfcheck

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
)

const (
	// Interval is how often a replica checks: the longest time for which an unguarded grant goes
	// unreported.
	Interval = 10 * time.Second
	// LeakInterval is how often it goes through all roles and bindings; a cluster has thousands.
	LeakInterval = 10 * time.Minute
	// timeout bounds one check, so that it does not delay the next.
	timeout = 8 * time.Second
)

// Options configure a Checker.
type Options struct {
	// Question is what a check determines, for the log.
	Question string
	// Inspect makes one check at the API server. With an error it may return a partial result or
	// nil.
	Inspect func(context.Context) (Look, error)
	// Timeout bounds one check; 0 means a little less than Interval.
	Timeout time.Duration
	// Ticks triggers the checks after the first.
	Ticks <-chan time.Time
	// Changed is called on each change with the current problem, "" if there is none. It may be
	// nil.
	Changed func(ctx context.Context, topic Topic, problem string)
	// Now is the clock for the metrics; nil means time.Now.
	Now func() time.Time
	// Metrics may be nil.
	Metrics *Metrics
	Log     logr.Logger
}

// Checker checks repeatedly and remembers the last result.
type Checker struct {
	Options
	failing bool // the last check failed; owned by Run

	mu    sync.Mutex
	wrong map[Topic]string // the problem found by the last successful check, if any
}

// New returns a Checker that reports no problem before its first check: a replica must not stay
// unready because the API server cannot be reached when it starts.
func New(o Options) *Checker {
	if o.Metrics == nil {
		o.Metrics = NewMetrics(prometheus.NewRegistry())
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Timeout == 0 {
		o.Timeout = timeout
	}
	return &Checker{Options: o, wrong: map[Topic]string{}}
}

// Run checks at once and at each tick, until ctx ends.
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

// Ready returns why the webhook must not be relied on, nil if it may.
func (c *Checker) Ready() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var why []string
	for _, topic := range topics {
		if problem := c.wrong[topic]; topic.unready && problem != "" {
			why = append(why, problem)
		}
	}
	if len(why) == 0 {
		return nil
	}
	return errors.New(strings.Join(why, "; "))
}

// check makes one check. What could not be determined only increments the count of failures: a
// passing fault of the API server must neither take a replica out of service nor bring it back.
func (c *Checker) check(ctx context.Context) {
	start := c.Now()
	bounded, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	found, err := c.Inspect(bounded)
	if ctx.Err() != nil {
		return
	}
	c.answered(err)
	if found == nil {
		return
	}
	problems := found.problems()
	for _, topic := range topics {
		if problem, looked := problems[topic]; looked {
			c.note(ctx, topic, problem)
		}
	}
	found.measure(c.Metrics, start)
}

// answered counts failed checks, and logs the first failure and the recovery.
func (c *Checker) answered(err error) {
	if err != nil {
		c.Metrics.failures.Inc()
	}
	switch {
	case err != nil && !c.failing:
		c.Log.Error(err, "Could not find out "+c.Question+"; the last result stays in force")
	case err == nil && c.failing:
		c.Log.Info("Found out again " + c.Question)
	}
	c.failing = err != nil
}

// note stores a topic's problem and reports a change.
func (c *Checker) note(ctx context.Context, topic Topic, problem string) {
	c.mu.Lock()
	changed := c.wrong[topic] != problem
	c.wrong[topic] = problem
	c.mu.Unlock()
	if !changed {
		return
	}
	if problem == "" {
		c.Log.Info(topic.Relief)
	} else {
		c.Log.Error(nil, topic.headline, "problem", problem)
	}
	if c.Changed != nil {
		c.Changed(ctx, topic, problem)
	}
}
