package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// logs measures in this process how fast logs are written to a directory and read from it.
func (b *bench) logs(ctx context.Context) ([]row, error) {
	to, err := store.NewDirectory(filepath.Join(b.folder, "logs"))
	if err != nil {
		return nil, err
	}
	var rows []row
	var peaks []int64
	block := logBlock()
	for i, size := range []int64{128 * mib, 2048 * mib} {
		note("a log of %d MiB into a directory and out of it", size/mib)
		key := fmt.Sprintf("log-%d", i)
		var stored, opened float64
		peak, err := watchHeap(func() (err error) {
			stored, opened, err = logSpeed(ctx, to, key, &lines{left: size, block: block})
			return err
		})
		if err != nil {
			return nil, err
		}
		peaks = append(peaks, peak)
		rows = append(rows,
			atLeast(fmt.Sprintf("log of %d MiB into a directory: compressed, flushed, read back", size/mib),
				stored, 300, "MB/s"),
			atLeast(fmt.Sprintf("log of %d MiB out of a directory: compared and unpacked", size/mib), opened, 300,
				"MB/s"))
	}
	return append(rows, says("most of the heap in use meanwhile, of the small and the large log", "%d MiB, %d MiB",
		peaks[0]/mib, peaks[1]/mib)), nil
}

// logSpeed returns the throughput in MB/s of content.
func logSpeed(ctx context.Context, to store.Store, key string, log *lines) (stored, opened float64, err error) {
	size, began := log.left, time.Now()
	content, packed, err := manifest.Store(ctx, to, key, log)
	if err != nil {
		return 0, 0, err
	}
	p := manifest.Part{Type: manifest.Log, State: manifest.Complete, Key: key, Content: &content, Stored: &packed}
	if err := manifest.VerifyStored(ctx, to, &p); err != nil {
		return 0, 0, err
	}
	stored = float64(size) / 1e6 / time.Since(began).Seconds()
	began = time.Now()
	from, err := manifest.Open(ctx, to, &p)
	if err != nil {
		return 0, 0, err
	}
	defer from.Close()
	if n, err := io.Copy(io.Discard, from); err != nil || n != size {
		return 0, 0, fmt.Errorf("%d bytes came back: %w", n, err)
	}
	return stored, float64(size) / 1e6 / time.Since(began).Seconds(), to.Delete(ctx, key)
}

// logBlock resembles a build's output: similar lines, with differing numbers and digests.
func logBlock() (block []byte) {
	for i := 0; len(block) < 4*mib; i++ {
		block = fmt.Appendf(block,
			"2026-11-20T10:%02d:%02d.%06dZ INFO compiling example.test/shop/module-%d (%s, %d files) "+
				"in 0.%03ds\n",
			i/60%60, i%60, i*7919%1000000, i, digest(4), i%91, i*37%1000)
	}
	return block
}

// lines reads a log of a given size, the block repeated.
type lines struct {
	left        int64
	block, rest []byte
}

func (l *lines) Read(p []byte) (int, error) {
	if l.left == 0 {
		return 0, io.EOF
	}
	if len(l.rest) == 0 {
		l.rest = l.block
	}
	n := copy(p[:min(int64(len(p)), l.left)], l.rest)
	l.rest, l.left = l.rest[n:], l.left-int64(n)
	return n, nil
}

// watchHeap returns the peak of the heap during do, above its size at rest.
func watchHeap(do func() error) (int64, error) {
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	rest := int64(m.HeapInuse) //nolint:gosec // G115: far less than 2^63
	var peak atomic.Int64
	ended, watched := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		for {
			select {
			case <-ended:
				return
			case <-time.After(20 * time.Millisecond):
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				peak.Store(max(peak.Load(), int64(m.HeapInuse)-rest)) //nolint:gosec // G115: as above
			}
		}
	}()
	err := do()
	close(ended)
	<-watched
	return peak.Load(), err
}
