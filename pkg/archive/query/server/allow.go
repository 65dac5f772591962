package server

import (
	"context"

	"google.golang.org/grpc/metadata"

	"github.com/indelible-ci/indelible/pkg/archive/query"
	"github.com/indelible-ci/indelible/pkg/archive/query/access"
)

type contextKey int

const (
	// callerKey is of who asks.
	callerKey contextKey = iota
	// headersKey is of the headers of a request over REST: grpc-gateway leaves some out, and a header that is left out may be what
	// gives a caller fewer rights.
	headersKey
	// fieldsKey is of the fields that the answer is to have.
	fieldsKey
)

// authenticate returns a context that knows who asks.
func (s *Server) authenticate(ctx context.Context) (context.Context, error) {
	headers, ok := ctx.Value(headersKey).(map[string][]string)
	if !ok {
		headers, _ = metadata.FromIncomingContext(ctx)
	}
	caller, err := s.Access.Authenticate(ctx, access.ParseRequest(headers))
	return context.WithValue(ctx, callerKey, caller), err
}

func callerOf(ctx context.Context) *access.Caller {
	caller, _ := ctx.Value(callerKey).(*access.Caller)
	return caller
}

// allow is asked before anything is looked up: so that there is something, or is not, is no matter of an answer that refuses.
func (s *Server) allow(ctx context.Context, verb access.Verb, of access.Resource, namespace string) error {
	return s.Access.Allow(ctx, callerOf(ctx), verb, of, namespace)
}

// confine makes a list one of what the caller may see.
func (s *Server) confine(ctx context.Context, q *query.List, n name, verb access.Verb, of access.Resource) error {
	q.Parent, q.Result = n.parent, n.result
	if n.parent == wildcard {
		var err error
		q.Namespaces, err = s.Access.Namespaces(ctx, callerOf(ctx), verb, of, s.Engine.Namespaces)
		return err
	}
	if err := s.allow(ctx, verb, of, n.parent); err != nil {
		return err
	}
	q.Namespaces = []string{n.parent}
	return nil
}
