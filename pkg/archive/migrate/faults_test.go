package migrate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	pb "github.com/tektoncd/results/proto/v1alpha2/results_go_proto"
	"google.golang.org/genproto/googleapis/api/httpbody"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// destination is a Tekton Results that takes everything, and fails as it is told.
type destination struct {
	pb.ResultsClient
	pb.LogsClient
	mu      sync.Mutex
	records map[string]bool
	// answers are what GetLog answers one after the other; then nothing is found.
	answers []error
	asked   int
	// sending is the error of each part of a log.
	sending error
}

func (d *destination) api() *API {
	now := func(time.Duration) <-chan time.Time {
		c := make(chan time.Time, 1)
		c <- time.Time{}
		return c
	}
	return &API{results: d, logs: d, pauses: make([]time.Duration, 2), after: now}
}

func (d *destination) CreateResult(context.Context, *pb.CreateResultRequest, ...grpc.CallOption) (*pb.Result, error) {
	return &pb.Result{}, nil
}

func (d *destination) CreateRecord(
	_ context.Context, r *pb.CreateRecordRequest, _ ...grpc.CallOption,
) (*pb.Record, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.records[r.GetRecord().GetName()] {
		return nil, status.Error(codes.AlreadyExists, "there")
	}
	if d.records == nil {
		d.records = map[string]bool{}
	}
	d.records[r.GetRecord().GetName()] = true
	return &pb.Record{}, nil
}

func (d *destination) GetLog(
	context.Context, *pb.GetLogRequest, ...grpc.CallOption,
) (pb.Logs_GetLogClient, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked++
	if len(d.answers) == 0 {
		return nil, status.Error(codes.NotFound, "no log")
	}
	answer := d.answers[0]
	d.answers = d.answers[1:]
	return &logStream{err: answer}, nil
}

// logStream is a log of one message, or an error.
type logStream struct {
	pb.Logs_GetLogClient
	err error
}

func (s *logStream) Recv() (*httpbody.HttpBody, error) {
	if s.err != nil {
		return nil, s.err
	}
	s.err = io.EOF
	return &httpbody.HttpBody{Data: []byte("a line")}, nil
}

func (d *destination) UpdateLog(context.Context, ...grpc.CallOption) (pb.Logs_UpdateLogClient, error) {
	return &logSink{err: d.sending}, nil
}

type logSink struct {
	pb.Logs_UpdateLogClient
	err error
}

func (s *logSink) Send(*pb.Log) error { return s.err }

func (s *logSink) CloseAndRecv() (*pb.LogSummary, error) { return &pb.LogSummary{}, s.err }

func TestLogsThatCannotBeReadAtOnce(t *testing.T) {
	lost := status.Error(codes.Internal, "Error streaming log")
	other := status.Error(codes.Internal, "the database is starting up")
	for name, test := range map[string]struct {
		answers []error
		asked   int
		text    string
		want    error
	}{
		"a log is read": {[]error{nil}, 1, "a line", nil},
		"one that is not there is not asked for again": {nil, 1, "", ErrNoLog},
		"nor is it without an API for logs":            {[]error{status.Error(codes.Unimplemented, "")}, 1, "", ErrNoLog},
		"one that could not be read is":                {[]error{lost, other, nil}, 3, "a line", nil},
		"one that never can be read is lost":           {[]error{lost, lost, lost, nil}, 3, "", ErrNoLog},
		"another error never says that it is lost":     {[]error{lost, lost, other, nil}, 3, "", other},
	} {
		t.Run(name, func(t *testing.T) {
			d := &destination{answers: test.answers}
			content, err := d.api().Log(t.Context(), &pb.Record{Name: result + "/records/log-1"})
			if !errors.Is(err, test.want) || (err == nil) != (test.want == nil) || d.asked != test.asked {
				t.Fatalf("asked %d times: %v; want %d, %v", d.asked, err, test.asked, test.want)
			}
			if err == nil {
				if text, err := io.ReadAll(content); err != nil || string(text) != test.text {
					t.Errorf("%q, %v", text, err)
				}
			}
		})
	}
}

// refusing is a store that fails to create what comes after some objects.
type refusing struct {
	store.Store
	left atomic.Int64
}

func (r *refusing) Create(ctx context.Context, key string, body io.Reader) error {
	if r.left.Add(-1) < 0 {
		return errors.New("the volume is full")
	}
	return r.Store.Create(ctx, key, body)
}

// A position says that everything before it is imported.
func TestNoProgressOverWhatFailed(t *testing.T) {
	m := &memory{}
	for i := range 3 * batch {
		m.add(fmt.Sprintf("team-a/results/r-%04d", i), "report", "example.dev/v1.Report", `1`)
	}
	s, _ := archiveIn(t)
	full := &refusing{Store: s}
	full.left.Store(2*batch + 10) // two for each Result
	var differs, positions []string
	o := options(m, full, &differs)
	o.Progress = func(at string, _ Totals) { positions = append(positions, at) }
	if _, err := Import(t.Context(), o); err == nil {
		t.Fatal("it came to the end")
	}
	if want := []string{fmt.Sprintf("team-a/results/r-%04d", batch-1)}; !slices.Equal(positions, want) {
		t.Errorf("positions %q, want %q", positions, want)
	}
}

// An export that goes on where it stopped writes all that one without a break does.
func TestExportGoesOnWhereItStopped(t *testing.T) {
	s, _ := archiveIn(t)
	var differs []string
	if _, err := Import(t.Context(), options(sample(), s, &differs)); err != nil {
		t.Fatal(err)
	}
	whole, resumed := &destination{}, &destination{}
	last := ""
	o := ExportOptions{Store: s, Cluster: cluster, LogType: "File", To: whole.api(),
		Progress: func(position string, _ Totals) { last = position }}
	if _, err := Export(t.Context(), o); err != nil || last == "" {
		t.Fatalf("%v, %q", err, last)
	}
	o.To, o.From = resumed.api(), last
	if _, err := Export(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	name := result + "/records/log-1"
	if !whole.records[name] || !resumed.records[name] {
		t.Errorf("%s was written: %v, and when it went on: %v", name, whole.records[name], resumed.records[name])
	}
}

// leaks counts what is open.
type leaks struct {
	store.Store
	open atomic.Int64
}

func (l *leaks) Open(ctx context.Context, key string) (io.ReadCloser, error) {
	object, err := l.Store.Open(ctx, key)
	if err != nil {
		return nil, err
	}
	l.open.Add(1)
	return &counted{object, l}, nil
}

type counted struct {
	io.ReadCloser
	of *leaks
}

func (c *counted) Close() error {
	c.of.open.Add(-1)
	return c.ReadCloser.Close()
}

// A destination that ends a log's stream leaves nothing open.
func TestExportClosesWhatItReads(t *testing.T) {
	s, _ := archiveIn(t)
	m := &memory{}
	m.add(result, "uid-1", "tekton.dev/v1.TaskRun", taskRun("uid-1", "True"))
	m.logs[m.add(result, "log-1", logType, logOf("uid-1", 9)).GetName()] = strings.Repeat("a line\n", 100_000)
	var differs []string
	if _, err := Import(t.Context(), options(m, s, &differs)); err != nil {
		t.Fatal(err)
	}
	counting := &leaks{Store: s}
	d := &destination{sending: errors.New("the stream has ended")}
	_, err := Export(t.Context(), ExportOptions{Store: counting, Cluster: cluster, LogType: "File", To: d.api()})
	if !errors.Is(err, d.sending) || counting.open.Load() != 0 {
		t.Errorf("%v; %d objects are open", err, counting.open.Load())
	}
}
