//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"k8s.io/client-go/rest"

	"github.com/indelible-ci/indelible/pkg/archive/layout"
)

// tap is a proxy between one archiver and its two servers, the API server and the store. It records
// writes, and kills the archiver at one of them: before the server gets it, or after the server has
// answered and before the archiver gets the answer.
type tap struct {
	api, store string // where the archiver finds the servers

	// mu is held while a write is under way: the servers get one at a time, and none after the
	// fatal one.
	mu sync.Mutex
	// process dies at fatal, and is dead then.
	process *exec.Cmd
	fatal   boundary
	dead    chan struct{}
	// written are the writes that succeeded, in order, until kept.
	written []string
}

// newTap listens for an archiver that stores into s.
func newTap(t *testing.T, s *s3) *tap {
	t.Helper()
	api, err := url.Parse(cluster.Config.Host)
	if err != nil {
		t.Fatal(err)
	}
	toAPI, err := rest.TransportFor(cluster.Config)
	if err != nil {
		t.Fatal(err)
	}
	store, err := url.Parse(s.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	x := &tap{}
	x.api = x.listen(t, runWrite, &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(api) }, Transport: toAPI, FlushInterval: -1,
	})
	endpoint := x.listen(t, storeWrite, &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(store)
			r.Out.Host = r.In.Host     // it is signed
			r.Out.Header.Del("Expect") // it is not, and its answer is no answer
		},
		Transport: &http.Transport{DisableCompression: true}, FlushInterval: -1, // headers are signed
	})
	x.store = strings.Replace(s.Store, url.QueryEscape(s.Endpoint), url.QueryEscape(endpoint), 1)
	return x
}

// listen serves what write names as a write, and passes on all that it calls "".
func (x *tap) listen(t *testing.T, write func(*http.Request) string, to http.Handler) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if name := write(r); name != "" {
			x.write(name, to, w, r)
			return
		}
		to.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// kubeconfig writes a file that leads to the tap.
func (x *tap) kubeconfig(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "kubeconfig")
	text := `{apiVersion: v1, kind: Config, clusters: [{name: tap, cluster: {server: "` + x.api +
		`"}}], contexts: [{name: tap, context: {cluster: tap}}], current-context: tap}`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// start starts the archiver, which dies at a boundary; without one it does not.
func (x *tap) start(fatal boundary, start func() *exec.Cmd) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.process, x.fatal, x.dead, x.written = start(), fatal, make(chan struct{}), nil
}

// kept returns the writes so far that are still in effect, in order: without discarded attempts,
// and each write once even if it was sent in parts or repeated.
func (x *tap) kept() []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	var kept []string
	for _, w := range x.written {
		object, deleted := strings.CutPrefix(w, "DELETE ")
		switch {
		case deleted && object != "taskruns":
			kept = slices.DeleteFunc(kept, func(k string) bool { return k == "PUT "+object })
		case len(kept) == 0 || kept[len(kept)-1] != w:
			kept = append(kept, w)
		}
	}
	return kept
}

func (x *tap) write(name string, to http.Handler, w http.ResponseWriter, r *http.Request) {
	x.mu.Lock()
	defer x.mu.Unlock()
	select {
	case <-x.dead:
		panic(http.ErrAbortHandler)
	default:
	}
	if name == x.fatal.write && !x.fatal.persisted {
		x.die()
	}
	if name == x.fatal.refused {
		http.Error(w, "refused by a test", http.StatusForbidden)
		return
	}
	answer := httptest.NewRecorder()
	to.ServeHTTP(answer, r)
	if answer.Code < 300 {
		if x.written = append(x.written, name); name == x.fatal.write {
			x.die()
		}
	}
	maps.Copy(w.Header(), answer.Header())
	w.WriteHeader(answer.Code)
	_, _ = answer.Body.WriteTo(w)
}

// die kills the process and does not return: there is nobody to answer.
func (x *tap) die() {
	kill(x.process)
	close(x.dead)
	panic(http.ErrAbortHandler)
}

// runWrite names a write to the API server: its method and resource or, for a patch, the metadata
// fields it changes.
func runWrite(r *http.Request) string {
	if r.Method == http.MethodGet || path.Base(r.URL.Path) == "selfsubjectreviews" {
		return "" // the latter stores nothing: the answer has the API server's time
	}
	resource := path.Base(path.Dir(r.URL.Path))
	if r.Method != http.MethodPatch {
		return r.Method + " " + resource
	}
	body, err := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	var patch struct {
		Metadata map[string]json.RawMessage `json:"metadata"`
	}
	if err != nil || json.Unmarshal(body, &patch) != nil {
		return "PATCH " + resource
	}
	delete(patch.Metadata, "uid")
	delete(patch.Metadata, "resourceVersion")
	return "PATCH " + resource + ": " + strings.Join(slices.Sorted(maps.Keys(patch.Metadata)), ", ")
}

// storeWrite names a write to the S3 server: its method, which of a run's objects it concerns, and
// the step of a multipart upload.
func storeWrite(r *http.Request) string {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return ""
	}
	_, key, _ := strings.Cut(r.URL.Path, "/clusters/")
	key = "clusters/" + key
	if strings.Contains(key, "/identities/") || strings.Contains(key, "/namespaces/") {
		return "" // of no run
	}
	object := key
	if _, _, _, part, err := layout.ParsePart(key); err == nil {
		object = part
	} else if _, _, err := layout.ParseCommit(key); err == nil {
		object = "commit"
	}
	for _, step := range []string{"uploads", "partNumber", "uploadId"} {
		if r.URL.Query().Has(step) {
			return r.Method + " " + object + "?" + step
		}
	}
	return r.Method + " " + object
}
