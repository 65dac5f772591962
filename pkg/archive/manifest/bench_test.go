package manifest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"runtime"
	"sync"
	"testing"

	"github.com/klauspost/compress/gzip"

	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// logOf returns similar lines with different numbers, as builds write them.
func logOf(size int) []byte {
	var text []byte
	for i := uint32(1); len(text) < size; i++ {
		text = fmt.Appendf(text,
			"2026-11-20T10:%02d:%02d.%06dZ INFO compiling example.test/shop/module-%d (%08x, %d files) in 0.%03ds\n",
			i/60%60, i%60, i*7919%1000000, i, i*2654435761, i%91, i*37%1000)
	}
	return text[:size]
}

// repeated returns a block again and again.
type repeated struct {
	block, rest []byte
	left        int64
}

func (r *repeated) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	if len(r.rest) == 0 {
		r.rest = r.block
	}
	n := copy(p[:min(int64(len(p)), r.left)], r.rest)
	r.rest, r.left = r.rest[n:], r.left-int64(n)
	return n, nil
}

// BenchmarkLog stores a log in a directory with flush and verification, and reads it. Allocations
// must not grow with the log.
func BenchmarkLog(b *testing.B) {
	block := logOf(4 << 20)
	for _, size := range []int64{1 << 20, 64 << 20, 512 << 20} {
		dir, err := store.NewDirectory(b.TempDir())
		if err != nil {
			b.Fatal(err)
		}
		stored := Part{Type: Log, State: Complete}
		n := 0
		b.Run(fmt.Sprintf("store %d MiB", size>>20), func(b *testing.B) {
			b.SetBytes(size)
			b.ReportAllocs()
			for b.Loop() {
				n++
				stored.Key = fmt.Sprintf("log-%d", n)
				raw, packed, err := Store(b.Context(), dir, stored.Key, &repeated{block: block, left: size})
				stored.Content, stored.Stored = &raw, &packed
				if err == nil {
					err = VerifyStored(b.Context(), dir, &stored)
				}
				if err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				if n > 1 {
					_ = dir.Delete(context.Background(), fmt.Sprintf("log-%d", n-1))
				}
				b.StartTimer()
			}
		})
		b.Run(fmt.Sprintf("open %d MiB", size>>20), func(b *testing.B) {
			b.SetBytes(size)
			b.ReportAllocs()
			for b.Loop() {
				content, err := Open(b.Context(), dir, &stored)
				if err != nil {
					b.Fatal(err)
				}
				if got, err := io.Copy(io.Discard, content); err != nil || got != size {
					b.Fatal(got, err)
				}
				_ = content.Close()
			}
		})
	}
}

// BenchmarkManyParts stores as many logs at once as an archiver has workers, each an object of one
// member. The heap must not grow with their number.
func BenchmarkManyParts(b *testing.B) {
	content := logOf(200 << 10)
	dir, err := store.NewDirectory(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(24 * int64(len(content)))
	n := 0
	for b.Loop() {
		n++
		var all sync.WaitGroup
		for i := range 24 {
			all.Go(func() {
				if _, _, err := Store(context.Background(), dir, fmt.Sprintf("part-%d-%d", n, i),
					bytes.NewReader(content)); err != nil {
					b.Error(err)
				}
			})
		}
		all.Wait()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	b.ReportMetric(float64(m.HeapSys)/(1<<20), "MiB-heap")
}

// BenchmarkMember compares the members of parts with those of the first archivers, on one core and
// without a store.
func BenchmarkMember(b *testing.B) {
	content := logOf(memberBytes)
	var packed bytes.Buffer
	old, err := gzip.NewWriterLevel(&packed, gzip.BestSpeed)
	if err != nil {
		b.Fatal(err)
	}
	packGzip := func() []byte {
		packed.Reset()
		old.Reset(&packed)
		_, _ = old.Write(content) // a buffer takes everything
		_ = old.Close()
		return packed.Bytes()
	}
	var buffer []byte
	packZstd := func() []byte { buffer = fastPackers.member(buffer[:0], content); return buffer }
	for name, pack := range map[string]func() []byte{"gzip": packGzip, "zstd": packZstd} {
		b.Run(name+" in", func(b *testing.B) {
			b.SetBytes(memberBytes)
			for b.Loop() {
				pack()
			}
			b.ReportMetric(100*float64(len(pack()))/memberBytes, "%")
		})
		member := bytes.Clone(pack())
		b.Run(name+" out", func(b *testing.B) {
			b.SetBytes(memberBytes)
			var to []byte
			for b.Loop() {
				var err error
				if to, err = appendMember(to[:0], member); err != nil || len(to) != memberBytes {
					b.Fatal(len(to), err)
				}
			}
		})
	}
}
