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

// Callers says how an API server proves that it is one. Everybody else who reaches the port is answered, unless
// a certificate is required, but nothing comes of a request beyond its answer, and it waits with all the others
// (see gate).
type Callers struct {
	// ClientCAs verify client certificates; nil: none are asked for. Names are those that count, of which a
	// certificate must have one as its common name or among its DNS names.
	ClientCAs *x509.CertPool
	Names     []string
	// Required turns away whoever has no such certificate.
	Required bool
	// Keys returns the secrets that count as the second segment of a path, as in /carry-over/<key>; nil: none do.
	Keys func(path string) []string
}

// authenticatedKey is the key of the context value that says that the caller is an API server.
type authenticatedKey struct{}

// Authenticated reports whether a request, whose context that is, comes from an API server that has proved it.
func Authenticated(ctx context.Context) bool { return ctx.Value(authenticatedKey{}) != nil }

// telling notes in the context of a request who calls, and takes the key out of its path, so that nobody
// behind can log it.
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

// certified reports whether the client has shown a certificate with one of the names. That it is one of
// ClientCAs', for clients, and valid, is what the handshake has verified.
func (c Callers) certified(state *tls.ConnectionState) bool {
	if c.ClientCAs == nil || state == nil || len(state.VerifiedChains) == 0 {
		return false
	}
	leaf := state.VerifiedChains[0][0]
	return slices.ContainsFunc(c.Names, func(name string) bool {
		return name == leaf.Subject.CommonName || slices.Contains(leaf.DNSNames, name)
	})
}

// isKey compares with every key in a time that does not depend on how much of one is right.
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

// splitKey splits /carry-over/<key>. Any other path is left as it is.
func splitKey(path string) (webhook, key string) {
	segments := strings.Split(path, "/")
	if len(segments) != 3 || segments[0] != "" || segments[1] == "" {
		return path, ""
	}
	return "/" + segments[1], segments[2]
}
