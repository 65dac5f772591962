// Package apitest has a client of the query API and a fake cluster with users, for tests.
package apitest

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	pb "github.com/tektoncd/results/proto/v1alpha2/results_go_proto"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"github.com/indelible-ci/indelible/pkg/archive/query/access"
	"github.com/indelible-ci/indelible/pkg/archive/query/access/accesstest"
)

// Tokens of the users of a cluster that NewCluster returns.
const (
	// Admin may do everything everywhere.
	Admin = "admin-token"
	// Member may read in the namespaces team and other.
	Member = "member-token"
	// Robot may do everything in the namespace team.
	Robot = "robot-token"
	// Nobody may do nothing.
	Nobody = "nobody-token"
)

// Prefix is the prefix of REST paths.
const Prefix = "/apis/results.tekton.dev/v1alpha2/parents/"

// NewCluster returns a fake cluster with these users.
func NewCluster(t testing.TB) *accesstest.Cluster {
	t.Helper()
	c := accesstest.New(t)
	c.User(Admin, "admin")
	c.User(Member, "member", "team")
	c.User(Robot, "robot")
	c.User(Nobody, "nobody")
	c.Allow(accesstest.Rule{Who: "admin", Group: access.Group},
		accesstest.Rule{Who: "robot", Namespace: "team", Group: access.Group})
	for _, namespace := range []string{"team", "other"} {
		for _, verb := range []string{"get", "list"} {
			c.Allow(accesstest.Rule{Who: "team", Namespace: namespace, Group: access.Group, Verb: verb})
		}
	}
	return c
}

// Client calls an API over REST and gRPC.
type Client struct {
	URL     string
	Conn    *grpc.ClientConn
	Results pb.ResultsClient
	Logs    pb.LogsClient
	t       testing.TB
}

// NewClient returns a client of an address that is served without TLS, for the duration of the
// test.
func NewClient(t testing.TB, address string) *Client {
	t.Helper()
	return newClient(t, "http://"+address, address, insecure.NewCredentials())
}

// NewTLSClient returns a client of an address that is served with a certificate of an authority,
// whose file this is. Only its gRPC half can be used.
func NewTLSClient(t testing.TB, address, authority string) *Client {
	t.Helper()
	transport, err := credentials.NewClientTLSFromFile(authority, "")
	if err != nil {
		t.Fatal(err)
	}
	return newClient(t, "", address, transport)
}

func newClient(t testing.TB, url, address string, transport credentials.TransportCredentials) *Client {
	t.Helper()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(transport))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &Client{url, conn, pb.NewResultsClient(conn), pb.NewLogsClient(conn), t}
}

// For returns the client for a subtest.
func (c *Client) For(t testing.TB) *Client {
	of := *c
	of.t = t
	return &of
}

// As returns the context of a caller's gRPC requests, with more metadata as names and values.
func (c *Client) As(token string, more ...string) context.Context {
	ctx, cancel := context.WithTimeout(c.t.Context(), time.Minute)
	c.t.Cleanup(cancel)
	if token != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
	}
	return metadata.AppendToOutgoingContext(ctx, more...)
}

// REST sends a request with headers, as names and values, and returns the response.
func (c *Client) REST(
	token, method, path, body string, headers ...string,
) (code int, text string, header http.Header) {
	c.t.Helper()
	request, err := http.NewRequestWithContext(c.t.Context(), method, c.URL+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Add(headers[i], headers[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return response.StatusCode, string(content), response.Header
}

// Tree decodes a JSON object.
func (c *Client) Tree(text string) map[string]any {
	c.t.Helper()
	var tree map[string]any
	if err := json.Unmarshal([]byte(text), &tree); err != nil {
		c.t.Fatalf("%q: %v", text, err)
	}
	return tree
}

// ReadLog reads a log over gRPC.
func (c *Client) ReadLog(token, name string) (string, error) {
	c.t.Helper()
	stream, err := c.Logs.GetLog(c.As(token), &pb.GetLogRequest{Name: name})
	var text strings.Builder
	for err == nil {
		chunk, next := stream.Recv()
		if errors.Is(next, io.EOF) {
			return text.String(), nil
		}
		text.Write(chunk.GetData())
		err = next
	}
	return text.String(), err
}
