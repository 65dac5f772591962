package storage

import (
	"os"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"testing"
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/store"
	"github.com/indelible-ci/indelible/pkg/archive/store/storetest"
)

// heapLimit is what a stream of any length may take of the heap above what there was: several parts
// in each direction here, of client and server, which share the process.
const heapLimit = 64 << 20

// A gigabyte goes into a store and out again in constant memory.
func TestStream(t *testing.T) {
	size := int64(128 << 20)
	if os.Getenv("INDELIBLE_LONG") != "" {
		size = 1 << 30
	}
	for name, open := range map[string]func(t *testing.T) store.Store{
		"directory": func(t *testing.T) store.Store { return directory(t, t.TempDir()) },
		"s3":        func(t *testing.T) store.Store { return open(t, s3URL(s3)+place()) },
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			before := heap()
			peak, stop := watchHeap()
			storetest.Stream(t, s, size)
			stop()
			if grown := int64(peak.Load()) - int64(before); grown > heapLimit {
				t.Errorf("%d MiB streamed: the heap grew by %d MiB, want at most %d", size>>20, grown>>20,
					heapLimit>>20)
			} else {
				t.Logf("%d MiB streamed: the heap grew by %d MiB", size>>20, grown>>20)
			}
		})
	}
}

func directory(t testing.TB, root string) store.Store {
	t.Helper()
	d, err := store.NewDirectory(root)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// watchHeap keeps the most that the heap had. Garbage is collected early, so that it is not counted
// as needed.
func watchHeap() (peak *atomic.Uint64, stop func()) {
	percent := debug.SetGCPercent(20)
	peak, ended, done := &atomic.Uint64{}, make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			peak.Store(max(peak.Load(), m.HeapInuse))
			select {
			case <-ended:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	return peak, func() {
		close(ended)
		<-done
		debug.SetGCPercent(percent)
	}
}

func heap() uint64 {
	runtime.GC()
	runtime.GC() // what finalizers and pools held
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse
}
