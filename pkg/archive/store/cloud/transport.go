package cloud

import (
	"context"
	"net"
	"net/http"
	"time"
)

const (
	// defaultSilence is how long a server may neither accept nor send a byte. By default the SDKs
	// wait forever. S3 takes some seconds to complete a multipart upload, and sends spaces
	// meanwhile.
	defaultSilence = 30 * time.Second
	connectTimeout = 10 * time.Second
	// connections is the number of idle connections to keep. The SDKs keep 2 or 10, and reconnect
	// for most calls if there are more workers.
	connections = 256
	// attempts is the number of times that an SDK tries a call. The archiver retries as well, with
	// growing delays.
	attempts = 3
	// maxRetryDelay bounds an SDK's delay between attempts.
	maxRetryDelay = 2 * time.Second
)

// tune makes a transport's calls end when the server is silent for a duration, in any state:
// connecting, sending, waiting for the response, receiving. A transfer that makes progress is never
// ended, however slow.
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

// transport returns a transport for SDKs that have none of their own.
func transport(silence time.Duration) *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	tune(silence)(t)
	return t
}

// watchedConn is closed after a silence in both directions: while an upload is sent, no response is
// expected yet.
type watchedConn struct {
	net.Conn
	silence time.Duration
}

// writeSize is the size of the pieces in which writes are watched.
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
