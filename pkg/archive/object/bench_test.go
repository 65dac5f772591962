package object

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
)

// A Result and a Record of 5 KiB, as the watcher of Tekton Results writes them for each run, into a directory.
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
