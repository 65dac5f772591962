package api

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	pb "github.com/tektoncd/results/proto/v1alpha2/results_go_proto"

	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// post begins a request with a body of this length, of which it sends only some.
func (r *rig) post(token string, length int, some string) net.Conn {
	r.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.URL, "http://")) //nolint:noctx // a test
	r.must(err)
	r.Cleanup(func() { _ = conn.Close() })
	// A rejected body is not read to its end.
	_, _ = fmt.Fprintf(conn, "POST %ssecret/results HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n"+
		"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", prefix, token, length, some)
	return conn
}

// answer waits for a response and the end of the connection. It returns 0 if there is none in time,
// and -1 if the connection was reset.
func (r *rig) answer(conn net.Conn, within time.Duration) int {
	r.Helper()
	r.must(conn.SetReadDeadline(time.Now().Add(within)))
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return 0
	}
	if err != nil {
		return -1
	}
	defer func() { _ = response.Body.Close() }()
	_, _ = io.Copy(io.Discard, response.Body)
	if _, err := conn.Read(make([]byte, 1)); err == nil || strings.Contains(err.Error(), "timeout") {
		r.Errorf("the connection stays open: %v", err)
	}
	return response.StatusCode
}

// A body that does not arrive ends its connection, whoever sends it.
func TestBodiesHaveADeadline(t *testing.T) {
	r := newFullRig(t)
	if code := r.answer(r.post("bad", 1000, "{"), 5*time.Second); code != 401 {
		t.Errorf("a bad token: %d", code)
	}
	r.server.BodyTime = time.Second
	if code := r.answer(r.post(nobody, 1000, "{"), 5*time.Second); code != 504 {
		t.Errorf("a body that does not come: %d", code)
	}
	stream, err := r.Logs.UpdateLog(r.As(robot))
	r.must(err)
	if err := stream.RecvMsg(&pb.LogSummary{}); err == nil || r.Context().Err() != nil {
		t.Errorf("a stream without a message: %v", err)
	}
}

// Bodies cannot fill the memory, and those of one caller leave room for others.
func TestBodiesAreBounded(t *testing.T) {
	r := newFullRig(t)
	some := `{"name":"` + strings.Repeat("a", 5<<20)
	var conns []net.Conn
	for range 8 {
		conns = append(conns, r.post(nobody, 6<<20-10, some))
	}
	var refused atomic.Int64
	done := make(chan bool)
	for _, conn := range conns {
		go func() {
			if code := r.answer(conn, 3*time.Second); code == 429 || code == -1 {
				refused.Add(1)
			}
			done <- true
		}()
	}
	if code, text, _ := r.REST(robot, http.MethodPost, prefix+"team/results",
		`{"name":"team/results/mine"}`); code != 200 {
		t.Errorf("another caller: %d %s", code, text)
	}
	for range conns {
		<-done
	}
	if n := refused.Load(); n != 5 {
		t.Errorf("%d of 8 bodies refused, want 5: there is room for 3", n)
	}
	for _, conn := range conns {
		_ = conn.Close()
	}
	time.Sleep(time.Second) // until the server has read it
	for range 3 {           // more in total than the limit, unless memory is released
		code, text, _ := r.REST(nobody, http.MethodPost, prefix+"secret/results", some+`"}`)
		if code != 400 && code != 403 {
			t.Errorf("what was taken does not come back: %d %s", code, text)
		}
	}
}

// waitingStore blocks writes until the test allows them.
type waitingStore struct {
	store.Store
	may chan bool
}

func (s waitingStore) Create(ctx context.Context, key string, content io.Reader) error {
	<-s.may
	return s.Store.Create(ctx, key, content)
}

// A log that is sent faster than it is stored stays with its client, and delays no other request.
func TestUnreadUploads(t *testing.T) {
	may := make(chan bool)
	r := newFullRig(t, func(o *Options) { o.Store = waitingStore{o.Store, may} })
	stream, err := r.Logs.UpdateLog(r.As(robot))
	r.must(err)
	const all = 64 << 20
	chunk := []byte(strings.Repeat("0123456789abcdef", 4096))
	var sent atomic.Int64
	ended := make(chan error, 1)
	go func() {
		for range all / len(chunk) {
			if err := stream.Send(&pb.Log{Name: failed.log(), Data: chunk}); err != nil {
				ended <- err
				return
			}
			sent.Add(int64(len(chunk)))
		}
		ended <- nil
	}()
	time.Sleep(time.Second)
	if n := sent.Load(); n > 4<<20 || n == 0 {
		t.Errorf("accepted %d KiB that nobody reads", n>>10)
	}
	if _, err := r.Results.GetRecord(r.As(member), &pb.GetRecordRequest{Name: failed.record()}); err != nil {
		t.Errorf("another request on the connection: %v", err)
	}
	close(may)
	r.must(<-ended)
	if summary, err := stream.CloseAndRecv(); err != nil || summary.GetBytesReceived() != all {
		t.Errorf("%v, %v", summary, err)
	}
}
