package publisher

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/indelible-ci/indelible/pkg/result"
)

const (
	// maxResponse bounds an answer, in bytes. A TaskRun has at most 1.5 MiB in etcd, but the API
	// server's JSON may write one byte as six.
	maxResponse = 10 << 20
	// maxErrorResponse bounds what is read of an answer that is not a TaskRun.
	maxErrorResponse = 64 << 10
)

// answer is the API server's response to one attempt.
type answer struct {
	code       int
	reason     string   // of the Status object, else the HTTP status text
	message    string   // of the Status object, else the body's text
	warnings   []string // texts of the Warning headers
	retryAfter time.Duration
	body       []byte // of a 2xx answer
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
				fmt.Errorf("the API server accepted the results, but its answer is over %s and was not read",
					result.Size(maxResponse)),
				"Check the proxies between the pod and the API server.",
			}
		}
		a.body = body
		return a, nil
	}
	a.retryAfter = retryAfter(resp.Header.Get("Retry-After"), now)
	// Refusals are decided by their code; a truncated body only says less.
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

// retryable reports whether a later attempt may succeed. 409: the TaskRun does not name its pod
// yet, or another write is in flight. 401: the token was rotated meanwhile. 5xx: an API server or a
// webhook is unavailable.
func (a answer) retryable() bool {
	switch a.code {
	case http.StatusUnauthorized, http.StatusTooManyRequests:
		return true
	case http.StatusConflict:
		return !a.anotherTaskRun()
	}
	return a.code >= 500 && !a.tooLargeForEtcd()
}

// anotherTaskRun reports that the TaskRun of this name has another UID: it was deleted and
// recreated. The text is that of the API server's storage (k8s.io/apiserver/pkg/storage,
// Preconditions.Check).
func (a answer) anotherTaskRun() bool {
	return a.code == http.StatusConflict && strings.Contains(a.message, "Precondition failed: UID")
}

// tooLargeForEtcd recognizes etcd's size limit, which the API server reports as an internal error.
func (a answer) tooLargeForEtcd() bool {
	return strings.Contains(a.message, "etcdserver: request is too large") ||
		strings.Contains(a.message, "trying to send message larger than max")
}

// tooLargeForRequest distinguishes a limit on request bodies, the API server's (3 MiB) or a
// proxy's, from the guard's limits on results: admission denials name the webhook.
func (a answer) tooLargeForRequest() bool {
	return a.code == http.StatusRequestEntityTooLarge && !strings.Contains(a.message, "admission webhook")
}

// String returns the answer as text, such as `403 Forbidden: …`.
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

// warningText is the quoted text of a Warning header (RFC 7234, 5.5), which API servers send as
// `299 - "text"`.
func warningText(v string) string {
	first, last := strings.Index(v, `"`), strings.LastIndex(v, `"`)
	if first < 0 || last == first {
		return v
	}
	return strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(v[first+1 : last])
}
