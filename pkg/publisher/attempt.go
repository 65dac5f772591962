package publisher

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/indelible-ci/indelible/pkg/result"
)

const (
	// maxResponse bounds an answer, in bytes. The TaskRun in it is at most 1.5 MiB in etcd, but the API server's
	// JSON writes some single bytes as six.
	maxResponse = 10 << 20
	// maxErrorResponse bounds what is read of an answer that is no TaskRun.
	maxErrorResponse = 64 << 10
)

// sparse is the object that is PUT: which TaskRun it is, and the results. All else is added by the guard, from what is
// stored, and so is the resourceVersion: the pod may read nothing. The UID is a precondition that the API server checks
// itself, so that a TaskRun that was deleted and created again under its name is not written to.
type sparse struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name      string `json:"name"`
		Namespace string `json:"namespace"`
		UID       string `json:"uid"`
	} `json:"metadata"`
	Status collected `json:"status"`
}

func newSparse(o Options, c collected) sparse {
	s := sparse{APIVersion: "tekton.dev/v1", Kind: "TaskRun", Status: c}
	s.Metadata.Name, s.Metadata.Namespace, s.Metadata.UID = o.TaskRun, o.Namespace, o.UID
	return s
}

// answer is what the API server said to one attempt.
type answer struct {
	code       int
	reason     string   // of the Status object, else the HTTP status text
	message    string   // of the Status object, else the body's text
	warnings   []string // texts of the Warning headers
	retryAfter time.Duration
	body       []byte // of a 2xx answer
}

// permanentError is an error of an attempt that no later attempt would mend.
type permanentError struct {
	err    error
	advice string
}

func (e permanentError) Error() string { return e.err.Error() }
func (e permanentError) Unwrap() error { return e.err }

// endpoint is where to publish.
type endpoint struct {
	host, port  string
	path        string
	credentials string
}

// newEndpoint takes the API server's address from the options: a step may set the variables in which the kubelet tells
// it to every container, or set them empty.
func newEndpoint(o Options, getenv func(string) string) (endpoint, error) {
	host, port, err := net.SplitHostPort(o.Server)
	if o.Server == "" {
		host, port, err = getenv("KUBERNETES_SERVICE_HOST"), getenv("KUBERNETES_SERVICE_PORT"), nil
	}
	if err != nil {
		return endpoint{}, &problem{
			what:   "the address of the API server, " + o.Server + ", is no HOST:PORT",
			advice: "Look for what has changed the arguments of the pod's last step.",
		}
	}
	e := endpoint{
		host: host,
		port: port,
		path: "/apis/tekton.dev/v1/namespaces/" + url.PathEscape(o.Namespace) + "/taskruns/" +
			url.PathEscape(o.TaskRun) + "/status?fieldManager=" + result.FieldManager,
		credentials: o.Credentials,
	}
	if e.host == "" || e.port == "" {
		return endpoint{}, &problem{
			what:   "KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set, so the API server's address is unknown",
			advice: "Set publisher.server in Indelible's configuration.",
		}
	}
	return e, nil
}

func (e endpoint) address() string { return net.JoinHostPort(strings.Trim(e.host, "[]"), e.port) }

// send makes one attempt. The kubelet rotates token and CA, so both are read anew, and the connection is closed
// afterwards, so that a retry may reach another API server.
func (e endpoint) send(ctx context.Context, body []byte, red *redactor) (answer, error) {
	token, roots, err := e.readCredentials()
	if err != nil {
		return answer{}, permanentError{err, "Check that the pod's service account token is mounted at " + e.credentials +
			" and readable by the step's user."}
	}
	red.add(token)
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, "https://"+e.address()+e.path, bytes.NewReader(body))
	if err != nil {
		return answer{}, permanentError{fmt.Errorf("make request: %w", err), "Check publisher.server in Indelible's configuration."}
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", result.FieldManager)
	transport := newTransport(roots)
	defer transport.CloseIdleConnections()
	// The transport, not a client: a redirect must not carry the token elsewhere.
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	return readAnswer(resp, time.Now())
}

func (e endpoint) readCredentials() (string, *x509.CertPool, error) {
	raw, err := os.ReadFile(filepath.Join(e.credentials, "token"))
	if err != nil {
		return "", nil, fmt.Errorf("read the service account token: %w", err)
	}
	token := strings.TrimSpace(string(raw))
	if token == "" {
		return "", nil, errors.New("read the service account token: the file is empty")
	}
	ca, err := os.ReadFile(filepath.Join(e.credentials, "ca.crt"))
	if err != nil {
		return "", nil, fmt.Errorf("read the cluster's CA: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		return "", nil, errors.New("read the cluster's CA: no certificate in ca.crt")
	}
	return token, roots, nil
}

func newTransport(roots *x509.CertPool) *http.Transport {
	return &http.Transport{
		// Proxy variables are the step's own business: the API server is reached directly.
		Proxy:                  nil,
		DialContext:            (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		TLSHandshakeTimeout:    10 * time.Second,
		TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		DisableKeepAlives:      true,
		DisableCompression:     true, // costs the API server more time than the network saves
		MaxResponseHeaderBytes: 256 << 10,
	}
}

func readAnswer(resp *http.Response, now time.Time) (answer, error) {
	a := answer{code: resp.StatusCode, reason: http.StatusText(resp.StatusCode)}
	for _, w := range resp.Header.Values("Warning") {
		a.warnings = append(a.warnings, warningText(w))
	}
	if a.ok() {
		body, err := io.ReadAll(io.LimitReader(resp.Body, maxResponse+1))
		if err != nil {
			return answer{}, fmt.Errorf("read the answer: %w", err)
		}
		if len(body) > maxResponse {
			return answer{}, permanentError{
				fmt.Errorf("the API server accepted the results, but its answer is over %s and was not read", result.Size(maxResponse)),
				"Look for what stands between the pod and the API server.",
			}
		}
		a.body = body
		return a, nil
	}
	a.retryAfter = retryAfter(resp.Header.Get("Retry-After"), now)
	// A refusal counts by its code; a body that breaks off only says less.
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorResponse))
	var status struct {
		Kind    string `json:"kind"`
		Reason  string `json:"reason"`
		Message string `json:"message"`
	}
	if json.Unmarshal(body, &status) == nil && status.Kind == "Status" {
		a.message = status.Message
		if status.Reason != "" {
			a.reason = status.Reason
		}
		return a, nil
	}
	a.message = string(body)
	return a, nil
}

func (a answer) ok() bool { return a.code >= 200 && a.code < 300 }

// retryable: what a later attempt may see differently. 409 is a TaskRun that does not know its pod yet or was written at
// the same moment, 401 a token that was rotated meanwhile, 5xx an API server or webhook that is away.
func (a answer) retryable() bool {
	switch a.code {
	case http.StatusUnauthorized, http.StatusTooManyRequests:
		return true
	case http.StatusConflict:
		return !a.anotherTaskRun()
	}
	return a.code >= 500 && !a.tooLargeForEtcd()
}

// anotherTaskRun tells that the TaskRun of this name has another UID: it was deleted and created again. The words are
// those of the API server's storage (k8s.io/apiserver/pkg/storage, Preconditions.Check).
func (a answer) anotherTaskRun() bool {
	return a.code == http.StatusConflict && strings.Contains(a.message, "Precondition failed: UID")
}

// tooLargeForEtcd recognizes the one refusal the API server words as an internal error of its own.
func (a answer) tooLargeForEtcd() bool {
	return strings.Contains(a.message, "etcdserver: request is too large") ||
		strings.Contains(a.message, "trying to send message larger than max")
}

// tooLargeForRequest tells the API server's limit on request bodies (3 MiB), or a proxy's, from the guard's limits
// on results: what admission denies says so.
func (a answer) tooLargeForRequest() bool {
	return a.code == http.StatusRequestEntityTooLarge && !strings.Contains(a.message, "admission webhook")
}

// String is the answer in words, such as `403 Forbidden: …`.
func (a answer) String() string {
	s := strings.TrimSpace(strconv.Itoa(a.code) + " " + a.reason)
	if a.message != "" {
		s += ": " + a.message
	}
	return s
}

// retryAfter reads the header's two forms (RFC 9110, 10.2.3); zero means none.
func retryAfter(v string, now time.Time) time.Duration {
	if n, err := strconv.ParseUint(v, 10, 31); err == nil {
		return time.Duration(n) * time.Second
	}
	if t, err := http.ParseTime(v); err == nil {
		return max(0, t.Sub(now))
	}
	return 0
}

// warningText is the quoted text of a Warning header (RFC 7234, 5.5), which API servers send as `299 - "text"`.
func warningText(v string) string {
	first, last := strings.Index(v, `"`), strings.LastIndex(v, `"`)
	if first < 0 || last == first {
		return v
	}
	return strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(v[first+1 : last])
}
