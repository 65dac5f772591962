package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/run"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// Errors of Overlays and Live.
var (
	// ErrNoLog: there is none here, look elsewhere.
	ErrNoLog = errors.New("there is no such log")
	// ErrLogDeleted: it was deleted, do not look elsewhere.
	ErrLogDeleted = errors.New("the log was deleted")
)

// Overlays are logs that tools wrote. They take precedence over those of commits.
type Overlays interface {
	// OpenLog returns a log's content, ErrNoLog or ErrLogDeleted.
	OpenLog(ctx context.Context, parent, result, log string) (io.ReadCloser, error)
}

// Live reads logs of runs that are not archived yet.
type Live interface {
	// Logs yields what the containers of a run have written so far. id is the run's UID or its
	// log's ID. The error is ErrNoLog if there is no such run.
	Logs(ctx context.Context, namespace, result, id string) iter.Seq2[Container, error]
}

// Container is a container's log.
type Container struct {
	// Run is the TaskRun's name in the log of a PipelineRun, else empty.
	Run, Name string
	Content   io.ReadCloser
}

// openLog looks for a log among those of tools, in the archive, and in the cluster, in this order.
func (s *Server) openLog(ctx context.Context, n name) (*openLog, error) {
	c, err := s.commit(ctx, n.parent, n.result, n.id)
	if err == nil && c == nil {
		c, err = s.named(ctx, n)
	}
	if err != nil {
		return nil, err
	}
	log, err := s.overlay(ctx, n, c)
	switch {
	case err == nil || !errors.Is(err, ErrNoLog):
		return log, err
	case c != nil:
		return s.archived(ctx, c)
	case s.Live == nil:
		return nil, errNoLog
	}
	return s.live(ctx, n)
}

// commit returns the archived run that a record's or log's name belongs to, or nil.
func (s *Server) commit(ctx context.Context, parent, result, id string) (*manifest.Commit, error) {
	c, err := s.Engine.Commit(ctx, parent, result, id)
	switch {
	case status.Code(err) == codes.NotFound:
		return nil, nil
	case err != nil:
		return nil, err
	case c.Run.Namespace != parent:
		return nil, errNoLog // the engine has a bug: do not return another namespace's run
	}
	return c, nil
}

// logType is the data type of records of logs.
const logType = "results.tekton.dev/v1alpha3.Log"

// named returns the archived run that a tool's record of a log refers to, in the same Result, or
// nil. Tekton Results names such records differently, and an import keeps its names.
func (s *Server) named(ctx context.Context, n name) (*manifest.Commit, error) {
	record, err := s.Engine.GetRecord(ctx, n.parent, n.result, n.id)
	if status.Code(err) == codes.NotFound {
		return nil, nil
	}
	if err != nil || record.GetData().GetType() != logType {
		return nil, err
	}
	var log struct {
		Spec struct{ Resource struct{ UID string } }
	}
	if json.Unmarshal(record.GetData().GetValue(), &log) != nil || log.Spec.Resource.UID == "" {
		return nil, nil // a tool may write anything
	}
	return s.commit(ctx, n.parent, n.result, log.Spec.Resource.UID)
}

// overlay opens a tool's log.
func (s *Server) overlay(ctx context.Context, n name, c *manifest.Commit) (*openLog, error) {
	if s.Overlays == nil {
		return nil, ErrNoLog
	}
	ids := []string{n.id, run.LogID(n.result, n.id)}
	if c != nil {
		ids[1] = run.LogID(c.Run.Result, c.Run.UID)
	}
	for _, id := range ids {
		content, err := s.Overlays.OpenLog(ctx, n.parent, n.result, id)
		switch {
		case errors.Is(err, ErrNoLog):
			continue
		case errors.Is(err, ErrLogDeleted):
			return nil, errNoLog
		case err != nil:
			return nil, failed(ctx, "open the log", err)
		}
		return begin(ctx, sections(&section{content: content}), nothing)
	}
	return nil, ErrNoLog
}

// overlaid opens a tool's log for an archived run. Errors are those of Overlays, or have a code.
func (s *Server) overlaid(ctx context.Context, c *manifest.Commit) (io.ReadCloser, error) {
	if s.Overlays == nil {
		return nil, ErrNoLog
	}
	content, err := s.Overlays.OpenLog(ctx, c.Run.Namespace, c.Run.Result, run.LogID(c.Run.Result, c.Run.UID))
	if err != nil && !errors.Is(err, ErrNoLog) && !errors.Is(err, ErrLogDeleted) {
		err = failed(ctx, "open the log", err)
	}
	return content, err
}

// sections yields sections.
func sections(all ...*section) func() (*section, error) {
	return func() (*section, error) {
		if len(all) == 0 {
			return nil, io.EOF
		}
		first := all[0]
		all = all[1:]
		return first, nil
	}
}

// archived opens the log of an archived run: a TaskRun's own, or those of all TaskRuns of a
// PipelineRun.
func (s *Server) archived(ctx context.Context, c *manifest.Commit) (*openLog, error) {
	of, prefix := []*manifest.Commit{c}, ""
	if c.Run.Kind == run.PipelineRunKind {
		var err error
		if of, err = s.Engine.Children(ctx, c); err != nil {
			return nil, err
		}
	}
	var parts []manifest.Part // of the commit being read
	return begin(ctx, func() (*section, error) {
		for {
			if len(parts) > 0 {
				part := parts[0]
				parts = parts[1:]
				return s.part(ctx, prefix, &part)
			}
			if len(of) == 0 {
				return nil, io.EOF
			}
			next := of[0]
			of = of[1:]
			if next != c {
				switch content, err := s.overlaid(ctx, next); {
				case errors.Is(err, ErrLogDeleted):
					continue
				case err == nil:
					return &section{header: next.Run.Name + " :-\n", content: content}, nil
				case !errors.Is(err, ErrNoLog):
					return nil, err
				}
			}
			whole, err := s.read(ctx, next)
			if err != nil {
				return nil, err
			}
			if c.Run.Kind == run.PipelineRunKind {
				prefix = next.Run.Name + " "
			}
			parts = logsOf(whole)
		}
	}, nothing)
}

func nothing() {}

// read reads a commit with its inline parts.
func (s *Server) read(ctx context.Context, c *manifest.Commit) (*manifest.Commit, error) {
	key, err := c.Key()
	if err != nil {
		return nil, failed(ctx, "read the run", err)
	}
	whole, err := manifest.Read(ctx, s.Store, key)
	if err != nil {
		return nil, failed(ctx, "read the run", err)
	}
	return whole, nil
}

func logsOf(c *manifest.Commit) []manifest.Part {
	var logs []manifest.Part
	for _, part := range c.Parts {
		if part.Type == manifest.Log {
			logs = append(logs, part)
		}
	}
	return logs
}

// part opens one container's log. Its header says what is missing.
func (s *Server) part(ctx context.Context, prefix string, part *manifest.Part) (*section, error) {
	title := prefix + part.Container
	if part.Attempt > 0 {
		title += fmt.Sprintf(", attempt %d", part.Attempt+1)
	}
	if part.State != manifest.Complete {
		title += fmt.Sprintf(" (%s: %s)", part.State, part.Reason)
	}
	opened := &section{}
	if title != "" { // a log from Tekton Results is one text of all containers
		opened.header = title + " :-\n"
	}
	if part.State == manifest.Missing {
		return opened, nil
	}
	var err error
	if opened.content, err = manifest.Open(ctx, s.Store, part); err != nil {
		return nil, failed(ctx, "open the log", err)
	}
	return opened, nil
}

// live opens the log of a run in the cluster.
func (s *Server) live(ctx context.Context, n name) (*openLog, error) {
	next, stop := iter.Pull2(s.Live.Logs(ctx, n.parent, n.result, n.id))
	return begin(ctx, func() (*section, error) {
		container, err, ok := next()
		switch {
		case !ok:
			return nil, io.EOF
		case errors.Is(err, ErrNoLog):
			return nil, errNoLog
		case err != nil:
			return nil, failed(ctx, "read the log from the cluster", err)
		}
		return &section{header: strings.TrimSpace(container.Run+" "+container.Name) + " :-\n",
			content: container.Content}, nil
	}, stop)
}

// failed gives an error of a store or cluster a code for the caller. Its text is for the server's
// log.
func failed(ctx context.Context, what string, err error) error {
	code := codes.Unavailable
	var known interface{ GRPCStatus() *status.Status }
	switch {
	case errors.As(err, &known):
		return err
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, store.ErrNotExist):
		code = codes.NotFound
	case errors.Is(err, manifest.ErrDamaged):
		code = codes.DataLoss
	}
	return &failure{code, what, err}
}

// failure is an error with a code.
type failure struct {
	code codes.Code
	what string
	err  error
}

func (f *failure) Error() string { return fmt.Sprintf("%s: %v", f.what, f.err) }

func (f *failure) Unwrap() error { return f.err }

// GRPCStatus returns what the caller sees.
func (f *failure) GRPCStatus() *status.Status {
	return status.New(f.code, map[codes.Code]string{
		codes.Unavailable: "could not " + f.what + " now: try again",
		codes.NotFound:    "Log doesn't exist",
		codes.DataLoss:    "could not " + f.what + ": it is damaged; archiver fsck has details",
	}[f.code])
}
