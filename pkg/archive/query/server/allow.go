package server

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/indelible-ci/indelible/pkg/archive/query"
	"github.com/indelible-ci/indelible/pkg/archive/query/access"
)

type contextKey int

const (
	// callerKey is the key of the caller.
	callerKey contextKey = iota
	// fieldsKey is the key of the fields that the response must have.
	fieldsKey
	// bodyKey is the key of the body, a *restBody or a *flow.
	bodyKey
)

// callerOf returns the caller, whom ServeHTTP authenticated before it read anything of the body.
func callerOf(ctx context.Context) (*access.Caller, error) {
	caller, ok := ctx.Value(callerKey).(*access.Caller)
	if !ok || caller == nil {
		return nil, status.Error(codes.Unauthenticated, "a bearer token is required")
	}
	return caller, nil
}

// allow returns nil if the caller has a permission. It must come before any lookup, so that a
// refusal does not reveal what exists.
func (s *Server) allow(ctx context.Context, verb access.Verb, of access.Resource, namespace string) error {
	caller, err := callerOf(ctx)
	if err != nil {
		return err
	}
	return s.Access.Allow(ctx, caller, verb, of, namespace)
}

// confine restricts a list to what the caller may see.
func (s *Server) confine(ctx context.Context, q *query.List, n name, verb access.Verb, of access.Resource) error {
	q.Parent, q.Result = n.parent, n.result
	if n.parent == wildcard {
		caller, err := callerOf(ctx)
		if err == nil {
			q.Namespaces, err = s.Access.Namespaces(ctx, caller, verb, of, s.Engine.Namespaces)
		}
		return err
	}
	if err := s.allow(ctx, verb, of, n.parent); err != nil {
		return err
	}
	q.Namespaces = []string{n.parent}
	return nil
}

// beginList restricts a list to what the caller may see, and waits for its turn. leave ends the
// turn.
func (s *Server) beginList(
	ctx context.Context, q *query.List, n name, verb access.Verb, of access.Resource,
) (leave func(), err error) {
	if err := s.confine(ctx, q, n, verb, of); err != nil {
		return nil, err
	}
	return s.lists.enter(ctx)
}
