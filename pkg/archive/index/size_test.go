package index_test

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/indelible-ci/indelible/pkg/archive/index"
	"github.com/indelible-ci/indelible/pkg/archive/index/indextest"
)

// maxRunBytes is what a run of 5 KB with a Result of its own may cost, with all tables and indexes
// and their partly filled last pages: docs/decisions/0017 explains it.
const maxRunBytes = 1960

func TestSize(t *testing.T) {
	file := filepath.Join(t.TempDir(), "index.db")
	x, err := index.Open(t.Context(), "sqlite://"+file)
	if err != nil {
		t.Fatal(err)
	}
	const runs = 6000
	rows := make([]index.Row, runs)
	for i := range rows {
		rows[i] = indextest.NewRow(i)
	}
	putAll(t, x, rows)
	if err := x.Close(); err != nil { // moves the write-ahead log into the file
		t.Fatal(err)
	}
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	each := info.Size() / runs
	t.Logf("%d bytes a run, of which the record is %d", each, len(rows[0].Record))
	if each > maxRunBytes {
		t.Errorf("%d bytes a run, want at most %d", each, maxRunBytes)
	}
}

// putAll puts rows one by one, as the archiver does.
func putAll(tb testing.TB, x index.Index, rows []index.Row) {
	tb.Helper()
	const workers = 32
	var next atomic.Int64
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(rows)); i = next.Add(1) - 1 {
				if err := x.Put(tb.Context(), rows[i]); err != nil {
					tb.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
}

func BenchmarkPut(b *testing.B) {
	file := url.URL{Scheme: "sqlite", Path: filepath.Join(b.TempDir(), "index.db")}
	x, err := index.Open(b.Context(), file.String())
	if err != nil {
		b.Fatal(err)
	}
	defer x.Close()
	rows := make([]index.Row, b.N)
	for i := range rows {
		rows[i] = indextest.NewRow(i)
	}
	b.ResetTimer()
	putAll(b, x, rows)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}

func BenchmarkFindPageWithRecords(b *testing.B) {
	x, err := index.Open(b.Context(), "sqlite://"+filepath.Join(b.TempDir(), "index.db"))
	if err != nil {
		b.Fatal(err)
	}
	defer x.Close()
	for i := range 2000 {
		if err := x.Put(b.Context(), indextest.NewRow(i)); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		n := 0
		for _, err := range x.Find(b.Context(), index.Query{Namespace: fmt.Sprint("team-", 3), Records: true,
			Limit: 50}) {
			if err != nil {
				b.Fatal(err)
			}
			n++
		}
		if n != 50 {
			b.Fatal(n)
		}
	}
}
