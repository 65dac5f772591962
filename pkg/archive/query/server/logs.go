package server

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"

	pb "github.com/tektoncd/results/proto/v1alpha2/results_go_proto"
	"google.golang.org/genproto/googleapis/api/httpbody"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/indelible-ci/indelible/pkg/archive/query/access"
)

// logsService implements tekton.results.v1alpha2.Logs.
type logsService struct {
	pb.UnimplementedLogsServer
	*Server
}

// chunk is the size of the messages of a log, in bytes: what gRPC recommends and Tekton Results
// uses.
const chunk = 64 << 10

// textPlain is the content type of logs.
const textPlain = "text/plain; charset=utf-8"

func (s *logsService) GetLog(r *pb.GetLogRequest, to pb.Logs_GetLogServer) error {
	log, err := s.getLog(to.Context(), r.GetName())
	if err != nil {
		return err
	}
	return log.writeTo(&sender{to}, s.Metrics)
}

// sender sends a log in chunks.
type sender struct{ to pb.Logs_GetLogServer }

func (s *sender) Write(p []byte) (int, error) {
	return len(p), s.to.Send(&httpbody.HttpBody{ContentType: textPlain, Data: bytes.Clone(p)})
}

// getLog finds a log that the caller may read.
func (s *Server) getLog(ctx context.Context, text string) (*openLog, error) {
	n, err := parse(logPattern, text)
	if err == nil {
		err = s.allow(ctx, access.Get, access.Logs, n.parent)
	}
	if err != nil {
		return nil, err
	}
	return s.openLog(ctx, n)
}

func (s *logsService) ListLogs(ctx context.Context, r *pb.ListRecordsRequest) (*pb.ListRecordsResponse, error) {
	list, err := s.listRecords(ctx, r, access.Logs, s.Engine.ListLogs)
	for _, record := range list.GetRecords() {
		if n, err := parse(recordPattern, record.GetName()); err == nil {
			record.Name = n.resultName() + "/logs/" + n.id
		}
	}
	return list, err
}

func (s *logsService) DeleteLog(ctx context.Context, r *pb.DeleteLogRequest) (*emptypb.Empty, error) {
	n, err := parseNew(logPattern, r.GetName())
	if err == nil {
		err = s.allow(ctx, access.Delete, access.Logs, n.parent)
	}
	if err != nil {
		return nil, err
	}
	return &emptypb.Empty{}, s.Writer.DeleteLog(ctx, n.parent, n.result, n.id)
}

func (s *logsService) UpdateLog(from pb.Logs_UpdateLogServer) error {
	first, err := from.Recv()
	if errors.Is(err, io.EOF) {
		return status.Error(codes.InvalidArgument, "a log's name is required")
	}
	if err != nil {
		return err
	}
	n, err := parseNew(logPattern, first.GetName())
	if err == nil {
		err = s.allow(from.Context(), access.Update, access.Logs, n.parent)
	}
	if err != nil {
		return err
	}
	received, err := s.Writer.UpdateLog(from.Context(), n.parent, n.result, n.id,
		&receiver{from: from, name: first.GetName(), rest: first.GetData()})
	if err != nil {
		return err
	}
	return from.SendAndClose(&pb.LogSummary{Record: n.resultName() + "/records/" + n.id, BytesReceived: received})
}

// receiver reads a log that the client sends in chunks.
type receiver struct {
	from pb.Logs_UpdateLogServer
	name string
	rest []byte
}

func (r *receiver) Read(p []byte) (int, error) {
	for len(r.rest) == 0 {
		next, err := r.from.Recv()
		if err != nil {
			return 0, err
		}
		if next.GetName() != r.name {
			return 0, status.Error(codes.InvalidArgument, "cannot put logs for multiple records in the same stream")
		}
		r.rest = next.GetData()
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// openLog is a log that was found: its sections in order.
type openLog struct {
	ctx  context.Context //nolint:containedctx // of the one request that reads it
	next func() (*section, error)
	// done releases what next uses.
	done func()
	// first is the section opened to see whether there is something to read; nil after the last.
	first *section
}

// section is one container's log, after a header with its name.
type section struct {
	header  string
	content io.ReadCloser
}

// begin opens the first section, so that errors occur before anything is sent.
func begin(ctx context.Context, next func() (*section, error), done func()) (*openLog, error) {
	first, err := next()
	if errors.Is(err, io.EOF) {
		err = errNoLog
	}
	if err != nil {
		done()
		return nil, err
	}
	return &openLog{ctx, next, done, first}, nil
}

var errNoLog = status.Error(codes.NotFound, "Log doesn't exist")

// writeTo writes the whole log, in constant memory.
func (l *openLog) writeTo(w io.Writer, metrics *Metrics) error {
	defer l.done()
	to := bufio.NewWriterSize(w, chunk)
	for part := l.first; ; {
		n, err := part.writeTo(to)
		metrics.logBytes.Add(float64(n))
		if err != nil {
			return failed(l.ctx, "read the log", err)
		}
		if part, err = l.next(); errors.Is(err, io.EOF) {
			return to.Flush()
		}
		if err != nil {
			return err
		}
	}
}

func (p *section) writeTo(to *bufio.Writer) (int64, error) {
	if _, err := to.WriteString(p.header); err != nil || p.content == nil {
		return 0, errors.Join(err, p.close())
	}
	last := &lastByte{to: to}
	n, err := io.Copy(last, p.content)
	if err == nil && p.header != "" && n > 0 && last.byte != '\n' {
		err = to.WriteByte('\n') // so that the next header is on a line of its own
	}
	return n, errors.Join(err, p.close())
}

func (p *section) close() error {
	if p.content == nil {
		return nil
	}
	return p.content.Close()
}

// lastByte remembers the last byte written.
type lastByte struct {
	to   io.Writer
	byte byte
}

func (l *lastByte) Write(p []byte) (int, error) {
	if len(p) > 0 {
		l.byte = p[len(p)-1]
	}
	return l.to.Write(p)
}
