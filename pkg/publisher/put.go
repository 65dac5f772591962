package publisher

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/indelible-ci/indelible/pkg/result"
)

// sparse is the object that is PUT: the TaskRun's identity and its results. The guard adds the
// rest, including the resourceVersion, from the stored object, because the pod has no right to read
// it. The API server checks the UID as a precondition, so a TaskRun that was deleted and recreated
// under the same name is not written to.
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

// permanentError is an attempt's error that no retry can fix.
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

// newEndpoint takes the API server's address from the options. KUBERNETES_SERVICE_HOST and _PORT
// are only a fallback: a step's env may override them.
func newEndpoint(o Options, getenv func(string) string) (endpoint, error) {
	host, port, err := net.SplitHostPort(o.Server)
	if o.Server == "" {
		host, port, err = getenv("KUBERNETES_SERVICE_HOST"), getenv("KUBERNETES_SERVICE_PORT"), nil
	}
	if err != nil {
		return endpoint{}, &problem{
			what:   "the address of the API server, " + o.Server + ", is not HOST:PORT",
			advice: "Find out what changed the arguments of the pod's last step.",
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

// send makes one attempt. Token and CA are read each time because the kubelet rotates them. The
// connection is closed afterwards, so that a retry may reach another API server.
func (e endpoint) send(ctx context.Context, body []byte, red *redactor) (answer, error) {
	token, roots, err := e.readCredentials()
	if err != nil {
		return answer{},
			permanentError{err, "Check that the pod's service account token is mounted at " + e.credentials +
				" and readable by the step's user."}
	}
	red.add(token)
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, "https://"+e.address()+e.path, bytes.NewReader(body))
	if err != nil {
		return answer{}, permanentError{fmt.Errorf("make request: %w", err),
			"Check publisher.server in Indelible's configuration."}
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
		// The API server is reached directly; proxy variables are meant for the step.
		Proxy:                  nil,
		DialContext:            (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		TLSHandshakeTimeout:    10 * time.Second,
		TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		DisableKeepAlives:      true,
		DisableCompression:     true, // costs the API server more time than the network saves
		MaxResponseHeaderBytes: 256 << 10,
	}
}
