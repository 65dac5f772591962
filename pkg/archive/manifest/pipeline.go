package manifest

import (
	"runtime"
	"sync"
)

// pipeline applies a function to blocks on several cores and returns the results in order. One
// goroutine, started by produce, puts blocks; another one takes them. At most about twice as many
// blocks as workers are in memory.
type pipeline struct {
	work  func(*block)
	order chan *block
	slots chan struct{}
	// stopped unblocks put when the consumer is closed.
	stopped chan struct{}
	stop    sync.Once
	// current is the block taken last, rest the part of its output that has not been read.
	current *block
	rest    []byte
	// produced is closed when the producer has returned; failed is its error.
	produced chan struct{}
	failed   error
}

// block is the input and output of one call of work. Its holder owns the buffers.
type block struct {
	in, out []byte
	err     error
	done    chan struct{}
}

var blocks = sync.Pool{New: func() any { return &block{} }}

func newPipeline(work func(*block)) *pipeline {
	workers := min(runtime.GOMAXPROCS(0), 4)
	return &pipeline{
		work: work, order: make(chan *block, workers), slots: make(chan struct{}, workers),
		stopped:  make(chan struct{}),
		produced: make(chan struct{}),
	}
}

// produce runs the producer, which calls put for each block.
func (p *pipeline) produce(all func() error) {
	go func() {
		defer close(p.produced)
		defer close(p.order)
		p.failed = all()
	}()
}

// put starts work on a block. It returns false if the consumer is closed.
func (p *pipeline) put(b *block) bool {
	b.done, b.err = make(chan struct{}), nil
	select {
	case p.slots <- struct{}{}:
	case <-p.stopped:
		return false
	}
	go func() {
		p.work(b)
		<-p.slots
		close(b.done)
	}()
	select {
	case p.order <- b:
		return true
	case <-p.stopped:
		return false
	}
}

// next takes a block. It returns nil after the last one, with the producer's error.
func (p *pipeline) next() (b *block, err error) {
	if p.current != nil {
		blocks.Put(p.current)
	}
	if p.current = <-p.order; p.current == nil {
		<-p.produced
		return nil, p.failed
	}
	<-p.current.done
	return p.current, nil
}

// read copies from rest.
func (p *pipeline) read(to []byte) int {
	n := copy(to, p.rest)
	p.rest = p.rest[n:]
	return n
}

// close is called by the consumer. Blocks not taken are dropped.
func (p *pipeline) close() { p.stop.Do(func() { close(p.stopped) }) }

// packBlock compresses a block to one of many members.
func packBlock(b *block) { b.pack(fastPackers) }

func (b *block) pack(with *packers) {
	b.out = with.member(b.out[:0], b.in)
}

// unpackBlock decompresses a block, which is one member.
func unpackBlock(b *block) {
	b.out, b.err = appendMember(b.out[:0], b.in)
}
