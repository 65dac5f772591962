package manifest

import (
	"runtime"
	"sync"
)

// pipeline applies a function to blocks on several cores, and gives the results in order. One goroutine, of produce, puts, and another
// takes; at most twice as many blocks as workers are under way, which bounds the memory.
type pipeline struct {
	work  func(*block)
	order chan *block
	slots chan struct{}
	// stopped ends what still waits to put, when nobody takes any more.
	stopped chan struct{}
	stop    sync.Once
	// current is the block that was taken last, rest what was not read of it yet.
	current *block
	rest    []byte
	// produced is closed when produce has ended; failed is its error then.
	produced chan struct{}
	failed   error
}

// block is a piece on its way. Whoever has it owns its buffers.
type block struct {
	in, out []byte
	err     error
	done    chan struct{}
}

var blocks = sync.Pool{New: func() any { return &block{} }}

func newPipeline(work func(*block)) *pipeline {
	workers := min(runtime.GOMAXPROCS(0), 4)
	return &pipeline{
		work: work, order: make(chan *block, workers), slots: make(chan struct{}, workers), stopped: make(chan struct{}),
		produced: make(chan struct{}),
	}
}

// produce runs what puts the blocks.
func (p *pipeline) produce(all func() error) {
	go func() {
		defer close(p.produced)
		defer close(p.order)
		p.failed = all()
	}()
}

// put starts work on a block; false if nobody takes any more.
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

// next takes a block, nil after the last: err says then why there are no more, if that is not the end.
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

// read gives of the rest what fits.
func (p *pipeline) read(to []byte) int {
	n := copy(to, p.rest)
	p.rest = p.rest[n:]
	return n
}

// close is called by who takes, when it needs no more.
func (p *pipeline) close() { p.stop.Do(func() { close(p.stopped) }) }

// packBlock makes a member of a block's input, one of many.
func packBlock(b *block) { b.pack(fastPackers) }

func (b *block) pack(with *packers) {
	b.out = with.member(b.out[:0], b.in)
}

// unpackBlock makes content of a block that is one member.
func unpackBlock(b *block) {
	b.out, b.err = appendMember(b.out[:0], b.in)
}
