package archiver

import (
	"errors"
	"fmt"
	"time"
)

// Reasons for which a run waits without anything being wrong. They are values of a metric's label.
const (
	WaitChildren = "children"
	waitChains   = "chains"
	waitLogs     = "logs"
)

// wait is the error of a phase that cannot go on yet.
type wait struct {
	reason, detail string
	// again is when to look again, if nothing happens before that.
	again time.Duration
}

func (w *wait) Error() string { return "waits for " + w.reason + ": " + w.detail }

// phaseError is the error of a phase. What a phase does is in the package's comment.
type phaseError struct {
	phase string
	err   error
}

func (e *phaseError) Error() string { return fmt.Sprintf("%s: %v", e.phase, e.err) }

func (e *phaseError) Unwrap() error { return e.err }

// PhaseOf returns the phase that failed, for metrics.
func PhaseOf(err error) string {
	var e *phaseError
	if errors.As(err, &e) {
		return e.phase
	}
	return "other"
}
