package migrate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	pb "github.com/tektoncd/results/proto/v1alpha2/results_go_proto"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// API is a Source that reads from the gRPC API of Tekton Results.
type API struct {
	results pb.ResultsClient
	logs    pb.LogsClient
	// pauses are those between attempts to read a log. after is time.After.
	pauses []time.Duration
	after  func(time.Duration) <-chan time.Time
}

// NewAPI returns an API. The connection has credentials if they are needed.
func NewAPI(connection grpc.ClientConnInterface) *API {
	return &API{
		results: pb.NewResultsClient(connection), logs: pb.NewLogsClient(connection),
		pauses: []time.Duration{time.Second, 5 * time.Second, 20 * time.Second}, after: time.After,
	}
}

// Page sizes. A record may have a megabyte, and a gRPC message has 4 MiB by default.
const (
	pageSize       = 200
	recordPageSize = 5 // the minimum of the API
)

// maxMessage bounds a page, in bytes.
const maxMessage = 64 << 20

// Results implements Source. A position is the token of the page of a Result.
func (a *API) Results(ctx context.Context, from string) iter.Seq2[Found, error] {
	return func(yield func(Found, error) bool) {
		for token := from; ; {
			page, err := a.results.ListResults(ctx, &pb.ListResultsRequest{
				Parent: "-", PageSize: pageSize, PageToken: token, OrderBy: "create_time asc",
			})
			if err != nil {
				yield(Found{}, fmt.Errorf("list results: %w", err))
				return
			}
			for _, r := range page.GetResults() {
				if !yield(Found{r, token}, nil) {
					return
				}
			}
			if token = page.GetNextPageToken(); token == "" {
				return
			}
		}
	}
}

// Records implements Source.
func (a *API) Records(ctx context.Context, result *pb.Result, about bool) iter.Seq2[*pb.Record, error] {
	filter := fmt.Sprintf(`data_type == %q || data_type == %q || data_type == %q`, logType, oldLogType, eventListType)
	if !about {
		filter = fmt.Sprintf(`data_type != %q && data_type != %q && data_type != %q`, logType, oldLogType,
			eventListType)
	}
	return func(yield func(*pb.Record, error) bool) {
		for token := ""; ; {
			page, err := a.results.ListRecords(ctx, &pb.ListRecordsRequest{
				Parent: result.GetName(), Filter: filter, PageSize: recordPageSize, PageToken: token,
				OrderBy: "create_time asc",
			}, grpc.MaxCallRecvMsgSize(maxMessage))
			if err != nil {
				yield(nil, fmt.Errorf("list records of %s: %w", result.GetName(), err))
				return
			}
			for _, r := range page.GetRecords() {
				if !yield(r, nil) {
					return
				}
			}
			if token = page.GetNextPageToken(); token == "" {
				return
			}
		}
	}
}

// notStreamed is what Tekton Results answers, with the code Internal, if it cannot read a log that
// its record says is stored: it does not exist any more, or its store does not answer.
const notStreamed = "Error streaming log"

// Log implements Source. It asks again before it says that a stored log cannot be read: whoever
// imports takes that for good.
func (a *API) Log(ctx context.Context, record *pb.Record) (io.ReadCloser, error) {
	for _, pause := range a.pauses {
		content, err := a.log(ctx, record)
		if s, _ := status.FromError(err); err == nil || s.Code() != codes.Internal {
			return content, errorOf(record, err)
		}
		select {
		case <-a.after(pause):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	content, err := a.log(ctx, record)
	return content, errorOf(record, err)
}

func errorOf(record *pb.Record, err error) error {
	if err == nil {
		return nil
	}
	switch s, _ := status.FromError(err); {
	case s.Code() == codes.NotFound, s.Code() == codes.Unimplemented,
		s.Code() == codes.Internal && s.Message() == notStreamed:
		err = ErrNoLog
	}
	return fmt.Errorf("read %s: %w", record.GetName(), err)
}

// log returns an error of the API as it is.
func (a *API) log(ctx context.Context, record *pb.Record) (io.ReadCloser, error) {
	ctx, cancel := context.WithCancel(ctx)
	stream, err := a.logs.GetLog(ctx, &pb.GetLogRequest{Name: logNameOf(record.GetName())})
	if err != nil {
		cancel()
		return nil, err
	}
	r := &logReader{stream: stream, cancel: cancel}
	// The first message tells whether the log exists.
	if r.receive(); r.err == nil || errors.Is(r.err, io.EOF) {
		return r, nil
	}
	cancel()
	return nil, r.err
}

// logReader reads the log from a stream of messages.
type logReader struct {
	stream pb.Logs_GetLogClient
	cancel func()
	rest   []byte
	err    error
}

func (r *logReader) receive() {
	message, err := r.stream.Recv()
	r.rest, r.err = message.GetData(), err
}

func (r *logReader) Read(p []byte) (int, error) {
	for len(r.rest) == 0 {
		if r.err != nil {
			return 0, r.err
		}
		r.receive()
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

func (r *logReader) Close() error {
	r.cancel()
	return nil
}
