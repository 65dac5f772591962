package controller

import (
	"sync"
	"time"
)

// backoff stops all attempts while the store or index does not answer. Otherwise thousands of
// waiting runs would each try every few seconds, and read from the API server first. After each
// delay the attempts show whether it is back.
type backoff struct {
	mu     sync.Mutex
	until  time.Time
	length time.Duration
}

func (b *backoff) remaining() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return time.Until(b.until)
}

// extend is called after a failure. Failures during a delay count as one.
func (b *backoff) extend() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if time.Now().Before(b.until) {
		return
	}
	b.length = min(max(2*b.length, firstRetry/2), lastRetry/2)
	b.until = time.Now().Add(b.length)
}

func (b *backoff) reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.length, b.until = 0, time.Time{}
}
