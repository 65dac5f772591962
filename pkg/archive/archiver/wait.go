package archiver

import (
	"errors"
	"fmt"
	"time"
)

// Reasons for which runs wait without an error. They are values of a metric's label.
const (
	WaitChildren = "children"
	waitChains   = "chains"
	waitLogs     = "logs"
)

// wait is the error of a phase that cannot proceed yet.
type wait struct {
	reason, detail string
	// again is when to try again, if nothing triggers it before.
	again time.Duration
}

func (w *wait) Error() string { return "waits for " + w.reason + ": " + w.detail }

// phaseError is an error with the phase it occurred in (see the package's comment).
type phaseError struct {
	phase string
	err   error
}

func (e *phaseError) Error() string { return fmt.Sprintf("%s: %v", e.phase, e.err) }

func (e *phaseError) Unwrap() error { return e.err }

// PhaseOf returns the phase of an error, as a label value.
func PhaseOf(err error) string {
	var e *phaseError
	if errors.As(err, &e) {
		return e.phase
	}
	return "other"
}
