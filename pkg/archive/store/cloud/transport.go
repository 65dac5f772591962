package cloud

import (
	"context"
	"net"
	"net/http"
	"time"
)

const (
	// defaultSilence is how long a server may neither take nor send a byte. The SDKs wait for ever.
	// Completing an upload of many parts takes S3 some seconds, during which it sends spaces.
	defaultSilence = 30 * time.Second
	connectTimeout = 10 * time.Second
	// connections is how many to one server are kept for the next call. The SDKs keep 2 or 10, and
	// with more workers than that connect anew for most calls.
	connections = 256
	// attempts is how often an SDK makes a call before it reports an error. The archiver makes it
	// again anyway, later and with a pause that grows.
	attempts = 3
	// retryPause is the most that an SDK waits between its attempts.
	retryPause = 2 * time.Second
)

// tune makes a transport's calls end when the server is silent for that long, whatever they wait
// for: a connection, the server to read on, an answer, the rest of an answer. A transfer that moves
// is never ended, however slow it is.
func tune(silence time.Duration) func(*http.Transport) {
	dialer := &net.Dialer{Timeout: min(connectTimeout, silence), KeepAlive: 15 * time.Second}
	return func(t *http.Transport) {
		t.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := dialer.DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return &watchedConn{conn, silence}, nil
		}
		t.TLSHandshakeTimeout = min(connectTimeout, silence)
		t.MaxIdleConns, t.MaxIdleConnsPerHost = connections, connections
		t.IdleConnTimeout = silence
	}
}

// transport is for SDKs that have none of their own to tune.
func transport(silence time.Duration) *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	tune(silence)(t)
	return t
}

// watchedConn ends when nothing has moved on it for so long. Both directions count for both: the
// answer to an upload is waited for from its beginning.
type watchedConn struct {
	net.Conn
	silence time.Duration
}

// writeSize is in what pieces writes are watched.
const writeSize = 64 << 10

func (c *watchedConn) Read(p []byte) (int, error) {
	if err := c.moved(); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

func (c *watchedConn) Write(p []byte) (int, error) {
	wrote := 0
	for {
		if err := c.moved(); err != nil {
			return wrote, err
		}
		n, err := c.Conn.Write(p[wrote:min(len(p), wrote+writeSize)])
		wrote += n
		if err != nil || wrote == len(p) {
			return wrote, err
		}
	}
}

func (c *watchedConn) moved() error { return c.SetDeadline(time.Now().Add(c.silence)) }
