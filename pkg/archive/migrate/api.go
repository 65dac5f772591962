package migrate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"

	pb "github.com/tektoncd/results/proto/v1alpha2/results_go_proto"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// API is a Source that reads from the gRPC API of Tekton Results.
type API struct {
	results pb.ResultsClient
	logs    pb.LogsClient
}

// NewAPI returns an API. The connection has credentials if they are needed.
func NewAPI(connection grpc.ClientConnInterface) *API {
	return &API{pb.NewResultsClient(connection), pb.NewLogsClient(connection)}
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

// Log implements Source.
func (a *API) Log(ctx context.Context, record *pb.Record) (io.ReadCloser, error) {
	ctx, cancel := context.WithCancel(ctx)
	stream, err := a.logs.GetLog(ctx, &pb.GetLogRequest{Name: logNameOf(record.GetName())})
	if err != nil {
		cancel()
		return nil, fmt.Errorf("read %s: %w", record.GetName(), err)
	}
	r := &logReader{stream: stream, cancel: cancel}
	// The first message tells whether the log exists.
	switch r.receive(); {
	case r.err == nil || errors.Is(r.err, io.EOF):
		return r, nil
	case slices.Contains([]codes.Code{codes.NotFound, codes.Unimplemented, codes.Internal}, status.Code(r.err)):
		err = ErrNoLog // Internal: the record says that the log is stored, and it is not
	default:
		err = r.err
	}
	cancel()
	return nil, fmt.Errorf("read %s: %w", record.GetName(), err)
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
