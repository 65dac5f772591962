package controller

import (
	"sync"
	"time"
)

// pause keeps all runs from a store or index that does not answer: thousands that wait would try
// every few seconds, and each would ask the API server first. One attempt after another finds out
// when it is back.
type pause struct {
	mu     sync.Mutex
	until  time.Time
	length time.Duration
}

func (p *pause) left() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Until(p.until)
}

// longer is called after a failure; those that were under way at the time count as one.
func (p *pause) longer() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Now().Before(p.until) {
		return
	}
	p.length = min(max(2*p.length, firstRetry/2), lastRetry/2)
	p.until = time.Now().Add(p.length)
}

func (p *pause) over() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.length, p.until = 0, time.Time{}
}
