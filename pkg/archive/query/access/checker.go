package access

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/singleflight"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	authentication "k8s.io/api/authentication/v1"
	authorization "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/cache"
	"k8s.io/client-go/kubernetes"

	"github.com/indelible-ci/indelible/pkg/archive/query/tracing"
)

// Group is the API group of the permissions.
const Group = "results.tekton.dev"

// Resource is a resource of the API group.
type Resource string

// Resources of Tekton Results.
const (
	Results Resource = "results"
	Records Resource = "records"
	Logs    Resource = "logs"
)

// Verb is what a caller does with a resource.
type Verb string

// Verbs of Tekton Results.
const (
	Get    Verb = "get"
	List   Verb = "list"
	Create Verb = "create"
	Update Verb = "update"
	Delete Verb = "delete"
)

const (
	// TTL is how long an answer of the API server is valid, as in Kubernetes' aggregated API
	// servers. A revoked token or right ends that much later.
	TTL = 10 * time.Second
	// How many answers are cached. Valid and invalid tokens have separate caches, so that invalid
	// ones cannot evict valid ones.
	keptTokens, keptDecisions = 4096, 1 << 16
	// reviews bounds the concurrent reviews, of each kind.
	reviews = 64
	// reviewTimeout bounds a review. Callers may leave earlier.
	reviewTimeout = 10 * time.Second
	// MaxNamespaces bounds the namespaces that a list over all of them is authorized for.
	MaxNamespaces = 2000
	// atOnce bounds the concurrent reviews of one list.
	atOnce = 32
)

// Caller is a user whose token, and right to impersonate, has been reviewed.
type Caller struct {
	user authentication.UserInfo
	// key identifies the caller in caches.
	key string
}

// Key identifies the caller. It is not secret, and reveals nothing.
func (c *Caller) Key() string { return c.key }

// Checker asks the API server and caches its answers.
type Checker struct {
	client            kubernetes.Interface
	valid, invalid    *cache.LRUExpireCache
	decisions         *cache.LRUExpireCache
	flights           singleflight.Group
	tokens, decidings chan struct{}
}

// New returns a Checker. The client should have no rate limit: the Checker limits its requests.
func New(client kubernetes.Interface) *Checker { return newChecker(client, realClock{}) }

func newChecker(client kubernetes.Interface, clock cache.Clock) *Checker {
	return &Checker{
		client:    client,
		valid:     cache.NewLRUExpireCacheWithClock(keptTokens, clock),
		invalid:   cache.NewLRUExpireCacheWithClock(keptTokens, clock),
		decisions: cache.NewLRUExpireCacheWithClock(keptDecisions, clock),
		tokens:    make(chan struct{}, reviews), decidings: make(chan struct{}, reviews),
	}
}

type realClock struct{}

func (realClock) Now() time.Time { return time.Now() }

// Errors that are the same for every request.
var (
	errNoToken      = status.Error(codes.Unauthenticated, "a bearer token is required")
	errBadToken     = status.Error(codes.Unauthenticated, "the bearer token is not valid")
	errImpersonates = status.Error(codes.Unauthenticated,
		"the Impersonate- headers are not valid: one Impersonate-User, at most one UID, at most 100 in all")
)

// Authenticate returns the caller. Errors are Unauthenticated; PermissionDenied if the caller may
// not impersonate; Unavailable if the API server does not answer.
func (c *Checker) Authenticate(ctx context.Context, r Request) (*Caller, error) {
	token, ok := r.token()
	if !ok {
		return nil, errNoToken
	}
	caller, err := c.review(ctx, token)
	if err != nil || !r.impersonates() {
		return caller, err
	}
	user, needs, ok := r.impersonated()
	if !ok {
		return nil, errImpersonates
	}
	for i := range needs {
		allowed, err := c.allowed(ctx, caller, &needs[i])
		if err != nil {
			return nil, err
		}
		if !allowed {
			return nil, status.Errorf(codes.PermissionDenied, "the caller may not impersonate these %s",
				needs[i].Resource)
		}
	}
	return newCaller(user), nil
}

func newCaller(user authentication.UserInfo) *Caller {
	text, _ := json.Marshal(user) // strings and maps of strings: it cannot fail
	sum := sha256.Sum256(text)
	return &Caller{user: user, key: string(sum[:])}
}

// review returns the user of a token.
func (c *Checker) review(ctx context.Context, token string) (*Caller, error) {
	key := sha256.Sum256([]byte(token)) // so that memory dumps contain no tokens
	if known, ok := c.valid.Get(key); ok {
		return known.(*Caller), nil
	}
	if _, ok := c.invalid.Get(key); ok {
		return nil, errBadToken
	}
	found, err := c.once(ctx, "token "+string(key[:]), c.tokens, func(ctx context.Context) (any, error) {
		answer, err := c.client.AuthenticationV1().TokenReviews().Create(ctx,
			&authentication.TokenReview{Spec: authentication.TokenReviewSpec{Token: token}}, metav1.CreateOptions{})
		if err != nil {
			return nil, err
		}
		if !answer.Status.Authenticated {
			c.invalid.Add(key, nil, TTL)
			return (*Caller)(nil), nil
		}
		caller := newCaller(answer.Status.User)
		c.valid.Add(key, caller, TTL)
		return caller, nil
	})
	if err != nil {
		return nil, unavailable("authenticate", err)
	}
	if found.(*Caller) == nil {
		return nil, errBadToken
	}
	return found.(*Caller), nil
}

// once does something once for all concurrent callers. It continues if the first of them leaves.
func (c *Checker) once(
	ctx context.Context, key string, limit chan struct{}, do func(context.Context) (any, error),
) (any, error) {
	return tracing.Step(ctx, "review", func(ctx context.Context) (any, error) { return c.wait(ctx, key, limit, do) })
}

func (c *Checker) wait(
	ctx context.Context, key string, limit chan struct{}, do func(context.Context) (any, error),
) (any, error) {
	answer := c.flights.DoChan(key, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), reviewTimeout)
		defer cancel()
		select {
		case limit <- struct{}{}:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		defer func() { <-limit }()
		return do(ctx)
	})
	select {
	case got := <-answer:
		return got.Val, got.Err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// unavailable hides the API server's error, which may contain names that the caller may not see.
func unavailable(what string, err error) error {
	if errors.Is(err, context.Canceled) {
		return status.Error(codes.Canceled, "the caller is gone")
	}
	return &reviewError{what, err}
}

// reviewError has the cause for the log, and a status for the caller.
type reviewError struct {
	what string
	err  error
}

func (e *reviewError) Error() string { return fmt.Sprintf("%s the caller: %v", e.what, e.err) }

func (e *reviewError) Unwrap() error { return e.err }

// GRPCStatus returns what the caller sees.
func (e *reviewError) GRPCStatus() *status.Status {
	return status.New(codes.Unavailable, "cannot "+e.what+" the caller: the cluster's API server does not answer")
}

// allowed returns the answer of one review.
func (c *Checker) allowed(ctx context.Context, caller *Caller, what *authorization.ResourceAttributes) (bool, error) {
	key := fmt.Sprintf("%x %q", caller.key, []string{what.Namespace, what.Verb, what.Group, what.Resource,
		what.Subresource, what.Name})
	if known, ok := c.decisions.Get(key); ok {
		return known.(bool), nil
	}
	answer, err := c.once(ctx, "access "+key, c.decidings, func(ctx context.Context) (any, error) {
		answer, err := c.client.AuthorizationV1().SubjectAccessReviews().Create(ctx, &authorization.SubjectAccessReview{
			Spec: authorization.SubjectAccessReviewSpec{
				User: caller.user.Username, UID: caller.user.UID, Groups: caller.user.Groups,
				Extra: extraOf(&caller.user), ResourceAttributes: what,
			},
		}, metav1.CreateOptions{})
		if err != nil {
			return false, err
		}
		allowed := answer.Status.Allowed && !answer.Status.Denied
		c.decisions.Add(key, allowed, TTL)
		return allowed, nil
	})
	if err != nil {
		return false, unavailable("authorize", err)
	}
	return answer.(bool), nil
}

func extraOf(user *authentication.UserInfo) map[string]authorization.ExtraValue {
	extra := map[string]authorization.ExtraValue{}
	for key, values := range user.Extra {
		extra[key] = authorization.ExtraValue(values)
	}
	return extra
}

// Allow returns nil if the caller has a permission in a namespace, or in all if namespace is empty.
// Errors are PermissionDenied, which reveals nothing, or Unavailable.
func (c *Checker) Allow(ctx context.Context, caller *Caller, verb Verb, resource Resource, namespace string) error {
	allowed, err := c.allowed(ctx, caller, &authorization.ResourceAttributes{
		Group: Group, Resource: string(resource), Verb: string(verb), Namespace: namespace,
	})
	if err == nil && !allowed {
		where := "all namespaces"
		if namespace != "" {
			where = "namespace " + namespace
		}
		err = status.Errorf(codes.PermissionDenied, "the caller may not %s %s.%s in %s", verb, resource, Group, where)
	}
	return err
}

// Namespaces returns those namespaces of all in which the caller has a permission; nil if it has it
// everywhere. Errors are Allow's. None at all is PermissionDenied.
func (c *Checker) Namespaces(ctx context.Context, caller *Caller, verb Verb, resource Resource,
	all func(ctx context.Context, limit int) ([]string, error),
) ([]string, error) {
	everywhere := c.Allow(ctx, caller, verb, resource, "")
	if status.Code(everywhere) != codes.PermissionDenied {
		return nil, everywhere
	}
	candidates, err := all(ctx, MaxNamespaces)
	if err != nil {
		return nil, err
	}
	may := make([]bool, len(candidates))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for i, namespace := range candidates {
		group.Go(func() error {
			err := c.Allow(ctx, caller, verb, resource, namespace)
			may[i] = err == nil
			if status.Code(err) == codes.PermissionDenied {
				return nil
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	var namespaces []string
	for i, namespace := range candidates {
		if may[i] {
			namespaces = append(namespaces, namespace)
		}
	}
	if namespaces == nil {
		return nil, everywhere
	}
	slices.Sort(namespaces)
	return namespaces, nil
}
