//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"sync/atomic"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// handshakeBytes is more than an API server sends in a TLS handshake, and less than its answer with
// a TaskRun of 100 KB.
const handshakeBytes = 20_000

// breaking is a proxy between a pod and the API server. It forwards bytes, TLS included, and breaks
// the first connection in the middle of the API server's answer. Later connections wait for goOn,
// and then pass.
type breaking struct {
	host, port  string
	connections atomic.Int32
	broken      chan struct{} // closed after the first connection was broken
	goOn        chan struct{}
	target      string
}

// newBreaking listens on the node's address, which pods reach and the API server's certificate
// names on the local cluster.
func newBreaking(ctx context.Context) (*breaking, error) {
	nodes, err := cluster.Kube.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil || len(nodes.Items) == 0 || len(nodes.Items[0].Status.Addresses) == 0 {
		return nil, fmt.Errorf("reading the node's address: %w", err)
	}
	server, err := url.Parse(cluster.Config.Host)
	if err != nil {
		return nil, err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp",
		net.JoinHostPort(nodes.Items[0].Status.Addresses[0].Address, "0"))
	if err != nil {
		return nil, err
	}
	b := &breaking{broken: make(chan struct{}), goOn: make(chan struct{}), target: server.Host}
	if b.host, b.port, err = net.SplitHostPort(listener.Addr().String()); err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() { _ = listener.Close() })
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go b.serve(ctx, connection, b.connections.Add(1) == 1)
		}
	}()
	return b, nil
}

func (b *breaking) serve(ctx context.Context, pod net.Conn, first bool) {
	defer pod.Close()
	if !first {
		select {
		case <-b.goOn:
		case <-ctx.Done():
			return
		}
	}
	server, err := (&net.Dialer{}).DialContext(ctx, "tcp", b.target)
	if err != nil {
		return
	}
	defer server.Close()
	go func() { _, _ = io.Copy(server, pod) }()
	if !first {
		_, _ = io.Copy(pod, server)
		return
	}
	if n, _ := io.CopyN(pod, server, handshakeBytes); n == handshakeBytes {
		close(b.broken)
	}
}
