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
	// Interval is how often a replica looks: how long a grant may be unguarded before anybody is told.
	Interval = 10 * time.Second
	// LeakInterval is how often it looks through all roles and bindings: a cluster has thousands.
	LeakInterval = 10 * time.Minute
	// timeout bounds one look, so that the next one is not late.
	timeout = 8 * time.Second
)

// Options are what a Checker works with.
type Options struct {
	// Question is what a look is to find out, for the log.
	Question string
	// Inspect is one look at the API server. With an error it may return what it found all the same, or nil.
	Inspect func(context.Context) (Look, error)
	// Timeout bounds one look; 0 means a little less than Interval.
	Timeout time.Duration
	// Ticks says when to look again after the first look.
	Ticks <-chan time.Time
	// Changed is told of each change, with what is wrong now, "" if all is well. It may be nil.
	Changed func(ctx context.Context, topic Topic, problem string)
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

	mu    sync.Mutex
	wrong map[Topic]string // by the last look that had an answer; nothing if nothing
}

// New returns a Checker that finds nothing wrong until it has looked: a replica that starts while the API
// server cannot be asked must not stay away because of that.
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

// check is one look. What could not be found out changes nothing but the count of failures: a passing fault of
// the API server must take no replica away, and bring none back.
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

// answered counts looks that failed, and tells of the first and of the end of them.
func (c *Checker) answered(err error) {
	if err != nil {
		c.Metrics.failures.Inc()
	}
	switch {
	case err != nil && !c.failing:
		c.Log.Error(err, "Could not find out "+c.Question+"; what was found before still counts")
	case err == nil && c.failing:
		c.Log.Info("Can find out again " + c.Question)
	}
	c.failing = err != nil
}

// note remembers what is wrong, and tells of a change.
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
