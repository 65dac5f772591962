package admission

import (
	"context"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Callers says how API servers prove their identity. All others are answered, too, unless a
// certificate is required, but their requests have no effect beyond the answer and share a lane
// (see gate).
type Callers struct {
	// ClientCAs verify client certificates; nil: none are requested. A certificate counts if its
	// common name or one of its DNS names is among Names.
	ClientCAs *x509.CertPool
	Names     []string
	// Required rejects callers without such a certificate.
	Required bool
	// Keys returns the valid secrets in the second segment of a path, as in /carry-over/<key>; nil:
	// none.
	Keys func(path string) []string
}

// authenticatedKey is the key of the context value that marks a caller as an API server.
type authenticatedKey struct{}

// Authenticated reports whether the request with this context comes from a proven API server.
func Authenticated(ctx context.Context) bool { return ctx.Value(authenticatedKey{}) != nil }

// telling stores in the request's context who calls, and removes the key from the path, so that no
// handler can log it.
func (c Callers) telling(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		certified := c.certified(r.TLS)
		if c.Required && !certified {
			http.Error(w, "a client certificate of an API server is required", http.StatusUnauthorized)
			return
		}
		path, key := splitKey(r.URL.Path)
		ctx := r.Context()
		if certified || c.isKey(path, key) {
			ctx = context.WithValue(ctx, authenticatedKey{}, true)
		}
		r = r.WithContext(ctx)
		r.URL = &url.URL{Path: path, RawQuery: r.URL.RawQuery}
		r.RequestURI = path
		next.ServeHTTP(w, r)
	})
}

// certified reports whether the client presented a certificate with one of the names. The handshake
// has verified that it is valid, for clients, and issued by ClientCAs.
func (c Callers) certified(state *tls.ConnectionState) bool {
	if c.ClientCAs == nil || state == nil || len(state.VerifiedChains) == 0 {
		return false
	}
	leaf := state.VerifiedChains[0][0]
	return slices.ContainsFunc(c.Names, func(name string) bool {
		return name == leaf.Subject.CommonName || slices.Contains(leaf.DNSNames, name)
	})
}

// isKey compares with every key in constant time.
func (c Callers) isKey(path, key string) bool {
	if c.Keys == nil || key == "" {
		return false
	}
	found := 0
	for _, k := range c.Keys(path) {
		found |= subtle.ConstantTimeCompare([]byte(k), []byte(key))
	}
	return found == 1
}

// splitKey splits /carry-over/<key>. Other paths are returned unchanged.
func splitKey(path string) (webhook, key string) {
	segments := strings.Split(path, "/")
	if len(segments) != 3 || segments[0] != "" || segments[1] == "" {
		return path, ""
	}
	return "/" + segments[1], segments[2]
}
