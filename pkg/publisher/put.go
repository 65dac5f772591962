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
