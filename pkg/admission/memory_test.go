package admission_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/indelible-ci/indelible/pkg/admission"
)

const (
	createPod = `"operation":"CREATE","namespace":"team","resource":{"version":"v1","resource":"pods"}`
	createRun = `"operation":"CREATE","dryRun":true,"namespace":"team","resource":{"group":"tekton.dev","version":"v1","resource":"taskruns"}`
	podOfRun  = `"metadata":{"name":"run-pod","labels":{"tekton.dev/taskRun":"run"},"ownerReferences":[{"apiVersion":"tekton.dev/v1","kind":"TaskRun","name":"run","uid":"run-uid","controller":true}]},`

	// heapOfLane is what the lane of callers that do not authenticate may take of the limit of 384
	// MiB in config/server: 50 are at rest, 90 for requests that wait and connections, and 64 for
	// the lane of those who do. The collector is told of a little less, as it is there.
	heapOfLane, toldCollector = 180 << 20, 160 << 20
)

// many is a review of an object in which a text is repeated.
func many(request, before, text string, times int, after string) string {
	return review(request + `,"object":{` + before + strings.Repeat(text+",", times-1) + text + after + `}`)
}

// Objects that take much more memory than their length suggests, at most as many as one address may
// send, and more than that. Six addresses send them at a time. Without a bound on their weight the
// heap exceeds the limit of the container.
func TestMemoryOfComplexRequests(t *testing.T) {
	server := newServer()
	tests := map[string]struct {
		path         string
		body         func(times int) string
		most, beyond int
	}{
		"maps of one field": {admission.FitPath, func(n int) string { return many(createRun, `"x":[`, `{"":1}`, n, `]`) },
			27_000, 980_000},
		"numbers": {admission.FitPath, func(n int) string { return many(createRun, `"x":[`, `0`, n, `]`) }, 520_000,
			3_400_000},
		"unknown fields of a TaskRun": {admission.FitPath, func(n int) string {
			return many(createRun, `"spec":{"taskRef":{"name":"t"},"x":[`, `{"":{"":""}}`, n, `]}`)
		}, 14_000, 500_000},
		"empty containers": {admission.InjectPath,
			func(n int) string { return many(createPod, podOfRun+`"spec":{"containers":[`, `{}`, n, `]}`) }, 30_500, 850_000},
		"empty arguments": {admission.InjectPath, func(n int) string {
			return many(createPod, podOfRun+`"spec":{"containers":[{"args":[`, `""`, n, `]}]}`)
		}, 520_000, 2_300_000},
	}
	for name, tc := range tests {
		for _, times := range []int{tc.most, tc.beyond} {
			t.Run(fmt.Sprintf("%d %s", times, name), func(t *testing.T) {
				body := []byte(tc.body(times))
				heap := mostHeap(func() {
					var all sync.WaitGroup
					for i := range 6 {
						all.Go(func() {
							answer := postFrom(server, fmt.Sprintf("10.0.0.%d:1", i), tc.path, body)
							refused := answer.Code == http.StatusBadRequest && strings.Contains(answer.Body.String(),
								"the request is too complex")
							if beyond := times == tc.beyond; refused != beyond {
								t.Errorf("refused: %v, want %v: status %d: %.200s", refused, beyond, answer.Code, answer.Body)
							}
						})
					}
					all.Wait()
				})
				if heap > heapOfLane {
					t.Errorf("%d MiB of heap for six bodies of %d KiB, want at most %d MiB", heap>>20, len(body)>>10, heapOfLane>>20)
				}
				t.Logf("%d MiB of heap for six bodies of %d KiB", heap>>20, len(body)>>10)
			})
		}
	}
}

// mostHeap is the largest heap while requests are answered and the collector does what it can.
func mostHeap(answer func()) (most uint64) {
	runtime.GC()
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(toldCollector))
	done := make(chan struct{})
	go func() {
		defer close(done)
		answer()
	}()
	sample := time.NewTicker(2 * time.Millisecond)
	defer sample.Stop()
	for {
		var now runtime.MemStats
		runtime.ReadMemStats(&now)
		most = max(most, now.HeapInuse)
		select {
		case <-done:
			return most
		case <-sample.C:
		}
	}
}

func postFrom(server *http.Server, address, path string, body []byte) *httptest.ResponseRecorder {
	request := httptest.NewRequest(http.MethodPost, path+"?timeout=30s", bytes.NewReader(body))
	request.RemoteAddr = address
	request.Header.Set("Content-Type", "application/json")
	recorder := httptest.NewRecorder()
	server.Handler.ServeHTTP(recorder, request)
	return recorder
}

// A TaskRun of 1.4 MiB, before and after, with more of everything than is likely, is decided upon.
func TestLargeRunsAreNotTooComplex(t *testing.T) {
	list := func(times int, text func(i int) string) string {
		var all []string
		for i := range times {
			all = append(all, text(i))
		}
		return strings.Join(all, ",")
	}
	managed := `{"manager":"controller","fieldsV1":{` +
		list(5000, func(i int) string { return fmt.Sprintf(`"f:%d":{}`, i) }) + `}}`
	results := list(299, func(i int) string { return fmt.Sprintf(`{"name":"r%d","type":"string","value":"v"}`, i) }) +
		`,{"name":"a","type":"array","value":[` +
		list(100_000, func(i int) string { return fmt.Sprintf(`"%04d"`, i%10000) }) + `]}`
	steps := list(200, func(i int) string {
		return fmt.Sprintf(`{"name":"s%d","container":"step-s%d","imageID":"i","terminated":{"exitCode":0,"reason":"Completed"},"provenance":{"featureFlags":{}}}`, i, i)
	})
	run := `{"metadata":{"namespace":"team","name":"run","uid":"run-uid","managedFields":[` + managed +
		`],"annotations":{"a":"%s"}},` +
		`"status":{"podName":"run-pod","steps":[` + steps + `],"results":[` + results + `]}}`
	run = fmt.Sprintf(run, strings.Repeat("x", 1434<<10-len(run)))
	body := []byte(review(status + controller + `"object":` + run + `,"oldObject":` + run))
	for _, path := range []string{admission.GuardPath, admission.GuardElsewherePath, admission.CarryOverPath,
		admission.FitPath, admission.ReportPath} {
		if answer := postFrom(newServer(), "10.0.0.1:1", path, body); answer.Code != http.StatusOK ||
			!strings.Contains(answer.Body.String(), `"allowed":true`) {
			t.Errorf("%s of %d KiB: status %d: %.300s", path, len(body)>>10, answer.Code, answer.Body)
		}
	}
}
