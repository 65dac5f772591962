package storage

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// BenchmarkRuns is what a run costs a store: two small objects created and read back, a record and
// a commit. STORE_DIRECTORY says where the directory is: on a disk, as one in memory flushes
// nothing.
func BenchmarkRuns(b *testing.B) {
	for name, open := range map[string]func(b *testing.B) store.Store{
		"directory": func(b *testing.B) store.Store { return directory(b, temporary(b)) },
		"s3":        func(b *testing.B) store.Store { return open(b, s3URL(s3)+place()) },
	} {
		for _, workers := range []int{1, 8, 32} {
			b.Run(fmt.Sprintf("%s/%d", name, workers), func(b *testing.B) {
				s := open(b)
				processor := cpu()
				b.ResetTimer()
				runs(b, s, workers)
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "runs/s")
				b.ReportMetric((cpu()-processor).Seconds()*1000/float64(b.N), "cpu-ms/run")
			})
		}
	}
}

func runs(b *testing.B, s store.Store, workers int) {
	body := bytes.Repeat([]byte("x"), small)
	var next atomic.Int64
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			for {
				run := next.Add(1)
				if run > int64(b.N) {
					return
				}
				// As pkg/archive/layout has them: the runs of an hour are in one folder.
				for _, form := range []string{"clusters/c/parts/2026/11/20/10/%d.record.json.gz",
					"clusters/c/commits/2026/11/20/10/%d.json"} {
					key := fmt.Sprintf(form, run)
					if err := s.Create(b.Context(), key, bytes.NewReader(body)); err != nil {
						b.Error(err)
						return
					}
					if err := read(b.Context(), s, key); err != nil {
						b.Error(err)
						return
					}
				}
			}
		})
	}
	group.Wait()
}

// BenchmarkManySmallUploads is what uploads under way take of the heap: 200 bodies that have begun,
// and wait.
func BenchmarkManySmallUploads(b *testing.B) {
	const uploads = 200
	s := open(b, s3URL(s3)+place())
	for b.Loop() {
		var begun, group sync.WaitGroup
		begun.Add(uploads)
		before, goOn := heap(), make(chan struct{})
		for i := range uploads {
			group.Go(func() {
				body := io.MultiReader(bytes.NewReader(random(uint64(i), 64<<10)),
					readerFunc(func([]byte) (int, error) {
						begun.Done()
						<-goOn
						return 0, io.EOF
					}))
				if err := s.Create(b.Context(), fmt.Sprintf("many/%d-%d", time.Now().UnixNano(), i), body); err != nil {
					b.Error(err)
				}
			})
		}
		begun.Wait()
		runtime.GC()
		b.ReportMetric((float64(heap())-float64(before))/uploads/1024, "KiB-held/upload")
		close(goOn)
		group.Wait()
	}
}

func read(ctx context.Context, s store.Store, key string) error {
	object, err := s.Open(ctx, key)
	if err != nil {
		return err
	}
	defer object.Close()
	_, err = io.Copy(io.Discard, object)
	return err
}

func temporary(b *testing.B) string {
	b.Helper()
	root, err := os.MkdirTemp(os.Getenv("STORE_DIRECTORY"), "store-")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = os.RemoveAll(root) })
	return root
}

// cpu is the processor time of the process: of the server, too.
func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
