// Package accesstest has a fake API server that answers TokenReviews and SubjectAccessReviews from
// a table. test/e2e tests with a real one.
package accesstest

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"

	authentication "k8s.io/api/authentication/v1"
	authorization "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
)

// Rule allows something, as a bound ClusterRole does. An empty field matches everything, except
// Namespace.
type Rule struct {
	// Who is a user or a group.
	Who string
	// Namespace is that of a RoleBinding; empty for a ClusterRoleBinding.
	Namespace             string
	Group, Resource, Verb string
	// Name is the name of the object.
	Name string
}

func (r *Rule) allows(spec *authorization.SubjectAccessReviewSpec) bool {
	a := spec.ResourceAttributes
	match := func(rule, asked string) bool { return rule == "" || rule == asked }
	return (r.Who == spec.User || slices.Contains(spec.Groups, r.Who)) && match(r.Namespace, a.Namespace) &&
		match(r.Group, a.Group) && match(r.Resource, a.Resource) && match(r.Verb, a.Verb) && match(r.Name, a.Name)
}

// KubeSystem is the UID of the fake's namespace kube-system.
const KubeSystem = "5b1c4a0e-0000-4000-8000-000000000000"

// Cluster is the fake.
type Cluster struct {
	// Config and Client have no rate limit.
	Config *rest.Config
	Client kubernetes.Interface

	mu sync.Mutex
	// users by token.
	users map[string]authentication.UserInfo
	rules []Rule
	down  bool
	asked []string
	gate  chan struct{}
}

// New starts a fake for the duration of the test.
func New(t testing.TB) *Cluster {
	t.Helper()
	c := &Cluster{users: map[string]authentication.UserInfo{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /apis/authentication.k8s.io/v1/tokenreviews",
		answer(c, func(r *authentication.TokenReview) string {
			r.Status.User, r.Status.Authenticated = c.users[r.Spec.Token], false
			_, r.Status.Authenticated = c.users[r.Spec.Token]
			return "token"
		}))
	mux.HandleFunc("POST /apis/authorization.k8s.io/v1/subjectaccessreviews",
		answer(c, func(r *authorization.SubjectAccessReview) string {
			r.Status.Allowed = slices.ContainsFunc(c.rules, func(rule Rule) bool { return rule.allows(&r.Spec) })
			a := r.Spec.ResourceAttributes
			return a.Verb + " " + a.Resource + " in " + a.Namespace
		}))
	mux.HandleFunc("GET /api/v1/namespaces/kube-system", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w,
			`{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"kube-system","uid":"`+KubeSystem+`"}}`)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	c.Config = &rest.Config{Host: server.URL, QPS: -1}
	var err error
	if c.Client, err = kubernetes.NewForConfig(c.Config); err != nil {
		t.Fatal(err)
	}
	return c
}

// answer decodes a review, lets decide set its status, and records the question.
func answer[T any, Review interface {
	*T
	runtime.Object
}](c *Cluster, decide func(*T) string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		review := new(T)
		text, err := io.ReadAll(r.Body)
		if err == nil { // clients send protobuf or JSON
			_, _, err = scheme.Codecs.UniversalDeserializer().Decode(text, nil, Review(review))
		}
		c.mu.Lock()
		gate := c.gate
		c.mu.Unlock()
		if gate != nil {
			<-gate
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.asked = append(c.asked, decide(review))
		if err != nil || c.down {
			http.Error(w, "the fake is down; secret namespace", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(w).Encode(review)
	}
}

// User adds a token of a user, who has the group system:authenticated besides the given ones.
func (c *Cluster) User(token, name string, groups ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.users[token] = authentication.UserInfo{Username: name, Groups: append(groups, "system:authenticated")}
}

// Revoke removes a token.
func (c *Cluster) Revoke(token string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.users, token)
}

// Allow adds rules.
func (c *Cluster) Allow(rules ...Rule) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rules = append(c.rules, rules...)
}

// Down says whether reviews fail.
func (c *Cluster) Down(down bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.down = down
}

// Hold makes reviews wait until release is called.
func (c *Cluster) Hold() (release func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	gate := make(chan struct{})
	c.gate = gate
	return func() {
		c.mu.Lock()
		c.gate = nil
		c.mu.Unlock()
		close(gate)
	}
}

// Asked returns the questions since its last call.
func (c *Cluster) Asked() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	asked := c.asked
	c.asked = nil
	return asked
}
