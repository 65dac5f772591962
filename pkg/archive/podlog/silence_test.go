package podlog

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// A stream of a log that is followed ends when it is silent, once it is so long that it may read a
// rotated file.
func TestStreamThatStalls(t *testing.T) {
	from, writer := io.Pipe()
	stalling := newStream(from, patience{from: rotatable, silence: time.Millisecond, err: errStalled},
		func() { _ = writer.CloseWithError(io.ErrClosedPipe) })
	go func() {
		for range 17 {
			_, _ = writer.Write(make([]byte, 64<<10))
		}
	}()
	if n, err := io.Copy(io.Discard, stalling); n < rotatable || !errors.Is(err, errStalled) {
		t.Errorf("%d bytes, %v", n, err)
	}
}

// A kubelet that is silent at any point hangs nobody who reads what there is.
func TestReadFromAKubeletThatIsSilent(t *testing.T) {
	for name, silent := range map[string]func(http.ResponseWriter){
		"before it answers": func(http.ResponseWriter) {},
		"after its headers": func(w http.ResponseWriter) { w.WriteHeader(http.StatusOK) },
		"after a line":      func(w http.ResponseWriter) { fmt.Fprint(w, "2026-11-20T10:42:11.000000001Z one\n") },
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if silent(w); name != "before it answers" {
					_ = http.NewResponseController(w).Flush()
				}
				<-r.Context().Done()
			}))
			t.Cleanup(server.Close)
			kube, err := kubernetes.NewForConfig(&rest.Config{Host: server.URL, QPS: -1})
			if err != nil {
				t.Fatal(err)
			}
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "p"}}
			log, err := Read(t.Context(), kube, pod, &corev1.PodLogOptions{}, 50*time.Millisecond)
			if err == nil {
				_, err = io.Copy(io.Discard, log)
				_ = log.Close()
			}
			if !errors.Is(err, ErrSilent) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// The rest of a log is asked for again when the kubelet is silent; nobody waits for it.
func TestFinishWithAKubeletThatIsSilent(t *testing.T) {
	lines, want := testLines()
	var hangs atomic.Bool
	k := &fakeKubelet{lines: lines, state: "terminated"}
	f := newTestFollower(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if hangs.Load() && strings.HasSuffix(r.URL.Path, "/log") {
			<-r.Context().Done()
			return
		}
		k.ServeHTTP(w, r)
	}), t.TempDir())
	f.delays.silence = 50 * time.Millisecond
	tail := newTail(f, "ns", testKey)
	close(tail.done)
	hangs.Store(true)
	if err := tail.Finish(t.Context()); !errors.Is(err, ErrSilent) {
		t.Fatalf("got %v", err)
	}
	hangs.Store(false)
	f.delays.silence = time.Minute
	if err := tail.Finish(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, reason := contentOf(t, tail); got != want || reason != "" {
		t.Errorf("got %d bytes, %q", len(got), reason)
	}
}
