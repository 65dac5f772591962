package object

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// BenchmarkCreateAResultAndARecord creates a Result and a Record of 5 KiB in a directory, as the
// watcher of Tekton Results does for each run.
func BenchmarkCreateAResultAndARecord(b *testing.B) {
	o := newPlace(b).objects(b)
	data, _ := json.Marshal(map[string]string{"spec": strings.Repeat("some step of a Task, and its script\n", 140)})
	var n atomic.Int64
	b.SetParallelism(16)
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			result := resultOf(`{"annotations":{"a":"b"}}`)
			result.Result = fmt.Sprint("build-", n.Add(1))
			record := recordOf("r1", string(data))
			record.Result = result.Result
			for _, one := range []Object{result, record} {
				if _, err := o.Create(b.Context(), one); err != nil {
					b.Error(err)
				}
			}
		}
	})
}

// Rebuilding an index, from objects and from segments. Every fourth object is as in
// BenchmarkCreateAResultAndARecord.
func BenchmarkList(b *testing.B) {
	p := newPlace(b)
	o := p.objects(b)
	data, _ := json.Marshal(map[string]string{"spec": strings.Repeat("some step of a Task, and its script\n", 140)})
	const results = 10_000
	for i := range results {
		for _, one := range []Object{resultOf(`{"annotations":{"a":"b"}}`), recordOf("r1", string(data))} {
			one.Result = fmt.Sprint("build-", i)
			one.UID, one.Generation, one.Created, one.Updated = "6e21a8a5-bd27-4f4b-a14b-0f4e4e2c3a11", 1, time.Now(),
				time.Now()
			key, err := cluster.Object(one.key())
			if err != nil {
				b.Fatal(err)
			}
			packed, err := o.encode(&one, "k3v9x2m4q8")
			path := filepath.Join(p.root, key)
			if err = errors.Join(err, os.MkdirAll(filepath.Dir(path), 0o700),
				os.WriteFile(path, packed, 0o600)); err != nil {
				b.Fatal(err)
			}
		}
	}
	list := func(b *testing.B) {
		for b.Loop() {
			n := 0
			for _, err := range o.List(b.Context()) {
				if err != nil {
					b.Fatal(err)
				}
				n++
			}
			if n != 2*results {
				b.Fatalf("%d objects", n)
			}
		}
		b.ReportMetric(float64(2*results*b.N)/b.Elapsed().Seconds(), "objects/s")
	}
	b.Run("objects", list)
	if _, err := o.Compact(b.Context(), CompactOptions{Now: time.Now().Add(time.Hour)}); err != nil {
		b.Fatal(err)
	}
	b.Run("segments", list)
	b.Run("known", func(b *testing.B) {
		for b.Loop() {
			for _, err := range o.Changed(b.Context(), func(string) bool { return true }, nil) {
				if err != nil {
					b.Fatal(err)
				}
			}
		}
		b.ReportMetric(float64(2*results*b.N)/b.Elapsed().Seconds(), "objects/s")
	})
}
