package access

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/indelible-ci/indelible/pkg/archive/query/access/accesstest"
)

type headers = map[string][]string

func bearer(token string) []string { return []string{"Bearer " + token} }

// cluster has the users of all tests: team may read in the namespace team, and proxy may
// impersonate team and the group crew.
func cluster(t *testing.T) *accesstest.Cluster {
	c := accesstest.New(t)
	c.User("team-token", "member", "team")
	c.User("proxy-token", "proxy")
	c.User("admin-token", "admin")
	c.Allow(
		accesstest.Rule{Who: "team", Namespace: "team", Group: Group, Resource: "records", Verb: "get"},
		accesstest.Rule{Who: "member", Namespace: "team", Group: Group, Resource: "records", Verb: "get"},
		accesstest.Rule{Who: "admin", Group: Group},
		accesstest.Rule{Who: "crew", Namespace: "deck", Group: Group},
		accesstest.Rule{Who: "proxy", Resource: "users", Verb: "impersonate", Name: "member"},
		accesstest.Rule{Who: "proxy", Resource: "groups", Verb: "impersonate", Name: "crew"},
		accesstest.Rule{Who: "proxy", Resource: "serviceaccounts", Verb: "impersonate", Namespace: "team",
			Name: "robot"},
		accesstest.Rule{Who: "system:serviceaccounts:team", Namespace: "team", Group: Group},
		accesstest.Rule{Who: "system:authenticated", Namespace: "public", Group: Group},
	)
	return c
}

// Attackers try to get a record of a namespace by their request's headers.
func TestWhoMayGetARecord(t *testing.T) {
	long := make([]string, maxImpersonated)
	for i := range long {
		long[i] = fmt.Sprint("group", i)
	}
	for what, test := range map[string]struct {
		headers   headers
		namespace string
		want      codes.Code
	}{
		"allow a user of a group": {headers{"authorization": bearer("team-token")}, "team",
			codes.OK},
		"allow names of headers in any case": {headers{"Authorization": {"bearer team-token"}},
			"team", codes.OK},
		"forbid another namespace": {headers{"authorization": bearer("team-token")},
			"other", codes.PermissionDenied},
		"forbid all namespaces": {headers{"authorization": bearer("team-token")}, "",
			codes.PermissionDenied},
		"forbid no token": {nil, "team", codes.Unauthenticated},
		"forbid an empty token": {headers{"authorization": {"Bearer "}}, "team",
			codes.Unauthenticated},
		"forbid another scheme": {headers{"authorization": {"Basic team-token"}}, "team",
			codes.Unauthenticated},
		"forbid a token that nobody knows": {headers{"authorization": bearer("forged")}, "team",
			codes.Unauthenticated},
		"forbid two tokens, of which one would do": {headers{"authorization": {"Bearer forged",
			"Bearer team-token"}}, "team", codes.Unauthenticated},
		"forbid a second token in a header of the gateway": {headers{"Authorization": bearer("team-token"),
			"Grpc-Metadata-Authorization": bearer("admin-token")}, "team", codes.Unauthenticated},
		"allow to be taken for a user": {headers{"authorization": bearer("proxy-token"),
			"Impersonate-User": {"member"}}, "team", codes.OK},
		"forbid the impersonated user more than it may": {headers{"authorization": bearer("proxy-token"),
			"Impersonate-User": {"member"}}, "deck", codes.PermissionDenied},
		"forbid the rights of the one who impersonates": {headers{"authorization": bearer("admin-token"),
			"Impersonate-User": {"member"}}, "team", codes.PermissionDenied},
		"allow to be taken for a user with a group": {headers{"authorization": bearer("proxy-token"),
			"impersonate-user": {"member"}, "impersonate-group": {"crew"}}, "deck", codes.OK},
		"forbid a group that may not be taken": {headers{"authorization": bearer("proxy-token"),
			"impersonate-user": {"member"}, "impersonate-group": {"crew", "system:masters"}}, "deck",
			codes.PermissionDenied},
		"forbid a user that may not be taken": {headers{"authorization": bearer("proxy-token"),
			"impersonate-user": {"admin"}}, "team", codes.PermissionDenied},
		"forbid to impersonate without the right": {headers{"authorization": bearer("team-token"),
			"impersonate-user": {"member"}}, "team", codes.PermissionDenied},
		"forbid a group without a user": {headers{"authorization": bearer("proxy-token"),
			"impersonate-group": {"crew"}}, "deck", codes.Unauthenticated},
		"forbid extra without a user": {headers{"authorization": bearer("proxy-token"),
			"impersonate-extra-scopes": {"all"}}, "team", codes.Unauthenticated},
		"forbid extra that may not be taken": {headers{"authorization": bearer("proxy-token"),
			"impersonate-user": {"member"}, "impersonate-extra-scopes": {"all"}}, "team", codes.PermissionDenied},
		"forbid a UID that may not be taken": {headers{"authorization": bearer("proxy-token"),
			"impersonate-user": {"member"}, "impersonate-uid": {"u"}}, "team", codes.PermissionDenied},
		"forbid two users": {headers{"authorization": bearer("proxy-token"),
			"impersonate-user": {"member", "admin"}}, "team", codes.Unauthenticated},
		"forbid an empty user": {headers{"authorization": bearer("proxy-token"),
			"impersonate-user": {""}}, "team", codes.Unauthenticated},
		"forbid more groups than are worth a review": {headers{"authorization": bearer("proxy-token"),
			"impersonate-user": {"member"}, "impersonate-group": long}, "team", codes.Unauthenticated},
		"allow a service account its namespace's group": {headers{"authorization": bearer("proxy-token"),
			"impersonate-user": {"system:serviceaccount:team:robot"}}, "team", codes.OK},
		"forbid a service account of another namespace": {headers{"authorization": bearer("proxy-token"),
			"impersonate-user": {"system:serviceaccount:other:robot"}}, "team", codes.PermissionDenied},
		"allow the impersonated what everybody may": {headers{"authorization": bearer("proxy-token"),
			"impersonate-user": {"member"}}, "public", codes.OK},
		"forbid impersonation by the gateway's header as well": {headers{"authorization": bearer("team-token"),
			"Grpc-Metadata-Impersonate-User": {"admin"}}, "team", codes.PermissionDenied},
	} {
		t.Run(what, func(t *testing.T) {
			c := New(cluster(t).Client)
			for range 2 { // the second time from the caches
				if got := status.Code(get(t.Context(), c, test.headers, test.namespace)); got != test.want {
					t.Errorf("%s, want %s", got, test.want)
				}
			}
		})
	}
}

func get(ctx context.Context, c *Checker, h headers, namespace string) error {
	caller, err := c.Authenticate(ctx, ParseRequest(h))
	if err != nil {
		return err
	}
	return c.Allow(ctx, caller, Get, Records, namespace)
}

func TestAnswersAreCached(t *testing.T) {
	fake := cluster(t)
	c := New(fake.Client)
	for _, token := range []string{"team-token", "forged"} {
		for range 3 {
			_ = get(t.Context(), c, headers{"authorization": bearer(token)}, "team")
			_ = get(t.Context(), c, headers{"authorization": bearer(token)}, "other")
		}
	}
	asked := fake.Asked()
	slices.Sort(asked)
	if want := []string{"get records in other", "get records in team", "token", "token"}; !slices.Equal(asked, want) {
		t.Errorf("asked %q, want %q", asked, want)
	}
}

// Concurrent requests of one caller cause one review, and the caller that began it may leave.
func TestOneReviewForManyRequests(t *testing.T) {
	fake := cluster(t)
	c := New(fake.Client)
	release := fake.Hold()
	first, leave := context.WithCancel(t.Context())
	left := make(chan error)
	go func() { left <- get(first, c, headers{"authorization": bearer("team-token")}, "team") }()
	leave()
	if err := <-left; status.Code(err) != codes.Canceled {
		t.Errorf("who left is told %v", err)
	}
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			if err := get(t.Context(), c, headers{"authorization": bearer("team-token")}, "team"); err != nil {
				t.Error(err)
			}
		})
	}
	release()
	group.Wait()
	if asked := fake.Asked(); len(asked) > 3 { // who left may have come before the rest
		t.Errorf("asked %q", asked)
	}
}

// An API server that does not answer is no refusal. Its errors are not for callers, and it is asked
// again.
func TestClusterAway(t *testing.T) {
	fake := cluster(t)
	c := New(fake.Client)
	fake.Down(true)
	err := get(t.Context(), c, headers{"authorization": bearer("team-token")}, "team")
	if status.Code(err) != codes.Unavailable || strings.Contains(status.Convert(err).Message(), "secret") ||
		!strings.Contains(err.Error(), "secret") {
		t.Errorf("%v: %s", err, status.Convert(err).Message())
	}
	fake.Down(false)
	if err := get(t.Context(), c, headers{"authorization": bearer("team-token")}, "team"); err != nil {
		t.Error(err)
	}
}

func TestBadTokensPushOutNoGoodOnes(t *testing.T) {
	fake := cluster(t)
	c := New(fake.Client)
	_ = get(t.Context(), c, headers{"authorization": bearer("team-token")}, "team")
	for i := range keptTokens + 1 {
		c.invalid.Add(fmt.Sprint(i), nil, TTL)
	}
	fake.Asked()
	_ = get(t.Context(), c, headers{"authorization": bearer("team-token")}, "team")
	if asked := fake.Asked(); len(asked) > 0 {
		t.Errorf("asked again: %q", asked)
	}
}

func TestNamespaces(t *testing.T) {
	for who, test := range map[string]struct {
		token string
		want  []string
		code  codes.Code
	}{
		"who may everywhere has all":                     {"admin-token", nil, codes.OK},
		"who may somewhere has what is everybody's, too": {"team-token", []string{"public", "team"}, codes.OK},
		"who is nobody has what is everybody's":          {"proxy-token", []string{"public"}, codes.OK},
		"what is no token has nothing":                   {"forged", nil, codes.Unauthenticated},
	} {
		t.Run(who, func(t *testing.T) {
			c := New(cluster(t).Client)
			caller, err := c.Authenticate(t.Context(), ParseRequest(headers{"authorization": bearer(test.token)}))
			var got []string
			if err == nil {
				got, err = c.Namespaces(t.Context(), caller, Get, Records,
					func(context.Context, int) ([]string, error) {
						return []string{"team", "deck", "public", "other"}, nil
					})
			}
			if status.Code(err) != test.code || !slices.Equal(got, test.want) || (got == nil) != (test.want == nil) {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

// A caller without any namespace is refused, however many there are; an API server that does not
// answer is no refusal.
func TestNoNamespaces(t *testing.T) {
	fake := cluster(t)
	c := New(fake.Client)
	caller, err := c.Authenticate(t.Context(), ParseRequest(headers{"authorization": bearer("proxy-token")}))
	if err != nil {
		t.Fatal(err)
	}
	all := func(context.Context, int) ([]string, error) { return []string{"deck", "team"}, nil }
	namespaces, some := c.Namespaces(t.Context(), caller, List, Logs, all)
	_, none := c.Namespaces(t.Context(), caller, List, Logs, func(context.Context, int) ([]string, error) {
		return nil, nil
	})
	if namespaces != nil || status.Code(some) != codes.PermissionDenied || some.Error() != none.Error() {
		t.Errorf("%q, %v; %v", namespaces, some, none)
	}
	fake.Down(true)
	if got, err := c.Namespaces(t.Context(), caller, List, Records, all); got != nil ||
		status.Code(err) != codes.Unavailable {
		t.Errorf("%q, %v", got, err)
	}
}

// clock is set by the test.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

// A revoked token or right, and a new right, take effect when the cached answer expires.
func TestAnswersAreForgotten(t *testing.T) {
	fake, now := cluster(t), &clock{time.Unix(0, 0)}
	c := newChecker(fake.Client, now)
	check := func(namespace string, want codes.Code) {
		t.Helper()
		if got := status.Code(get(t.Context(), c, headers{"authorization": bearer("team-token")},
			namespace)); got != want {
			t.Errorf("%s: %s, want %s", namespace, got, want)
		}
	}
	check("team", codes.OK)
	check("deck", codes.PermissionDenied)
	fake.Allow(accesstest.Rule{Who: "team", Namespace: "deck"})
	check("deck", codes.PermissionDenied)
	now.now = now.now.Add(TTL + 1)
	check("deck", codes.OK)
	fake.Revoke("team-token")
	check("team", codes.OK)
	now.now = now.now.Add(TTL + 1)
	check("team", codes.Unauthenticated)
}

func TestImpersonatedExtra(t *testing.T) {
	r := ParseRequest(headers{"Impersonate-User": {"u"}, "Impersonate-Extra-Example.com%2Fscope": {"a", "b"},
		"Impersonate-Extra-Other": {"c"}})
	user, needs, ok := r.impersonated()
	if keys := slices.Sorted(maps.Keys(user.Extra)); !ok || !slices.Equal(keys,
		[]string{"example.com/scope", "other"}) || len(needs) != 4 {
		t.Errorf("%v %v %v", user, needs, ok)
	}
	if got := user.Groups; !slices.Equal(got, []string{"system:authenticated"}) {
		t.Errorf("groups %q", got)
	}
}

func BenchmarkCached(b *testing.B) {
	fake := accesstest.New(b)
	fake.User("t", "u", "g")
	fake.Allow(accesstest.Rule{Who: "g"})
	c := New(fake.Client)
	h := headers{"authorization": bearer("t")}
	for b.Loop() {
		if err := get(b.Context(), c, h, "team"); err != nil {
			b.Fatal(err)
		}
	}
}
