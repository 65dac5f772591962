package archiver

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/go-logr/logr"
	"gocloud.dev/blob/memblob"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/indelible-ci/indelible/pkg/archive/index"
	"github.com/indelible-ci/indelible/pkg/archive/layout"
	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/run"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

const testUID = "6e21a8a5-bd27-4f4b-a14b-0f4e4e2c3a11"

// cluster serves one run, its pods and their logs.
type cluster struct {
	t  *testing.T
	mu sync.Mutex
	// object is the run, or nil once it does not exist.
	object []byte
	// admit returns an error for a write, given the run as it would be.
	admit func(*metav1.ObjectMeta) *apierrors.StatusError
	// pod returns a pod's containers, nil if it does not exist, and log the log of all of them.
	pod func(name string) []string
	log string
	// patches are those that were admitted; refused counts the others.
	patches []string
	refused int
}

func (c *cluster) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	name := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
	switch {
	case name == "log":
		_, _ = io.WriteString(w, "2026-11-20T10:42:31.000000000Z "+c.log+"\n")
	case strings.Contains(r.URL.Path, "/pods/"):
		c.servePod(w, name)
	case r.Method == http.MethodPatch:
		c.patch(w, r)
	default:
		_, _ = w.Write(c.object)
	}
}

func (c *cluster) servePod(w http.ResponseWriter, name string) {
	var containers []any
	for _, container := range c.pod(name) {
		containers = append(containers, map[string]any{"name": container, "state": map[string]any{
			"terminated": map[string]any{"exitCode": 1, "startedAt": "2026-11-20T10:42:11Z"}}})
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"apiVersion": "v1", "kind": "Pod",
		"metadata": map[string]any{"name": name, "namespace": "team", "ownerReferences": []any{map[string]any{
			"apiVersion": "tekton.dev/v1", "kind": "TaskRun", "name": "build", "uid": testUID, "controller": true}}},
		"status": map[string]any{"phase": "Failed", "containerStatuses": containers}})
}

func (c *cluster) patch(w http.ResponseWriter, r *http.Request) {
	patch, err := io.ReadAll(r.Body)
	if err != nil {
		c.t.Error(err)
	}
	changed, err := jsonpatch.MergePatch(c.object, patch)
	if err != nil {
		c.t.Error(err)
	}
	var now struct{ Metadata metav1.ObjectMeta }
	if err := json.Unmarshal(changed, &now); err != nil {
		c.t.Error(err)
	}
	if c.admit != nil {
		if refusal := c.admit(&now.Metadata); refusal != nil {
			c.refused++
			refusal.ErrStatus.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}
			refusal.ErrStatus.Status = metav1.StatusFailure
			w.WriteHeader(int(refusal.ErrStatus.Code))
			_ = json.NewEncoder(w).Encode(refusal.ErrStatus)
			return
		}
	}
	c.object, c.patches = changed, append(c.patches, string(patch))
	_, _ = w.Write(c.object)
}

// archiver returns an Archiver on the cluster, with a store in memory.
func (c *cluster) archiver(logs LogMode, x index.Index) *Archiver {
	c.t.Helper()
	server := httptest.NewServer(c)
	c.t.Cleanup(server.Close)
	a, err := New(Options{Cluster: layout.Cluster("default"), Store: store.NewBucket(memblob.OpenBucket(nil), nil),
		Index: x, Config: &rest.Config{Host: server.URL, QPS: -1}, Logs: logs, Now: time.Now, Log: logr.Discard()})
	if err != nil {
		c.t.Fatal(err)
	}
	a.Recent.EndList()
	return a
}

// archived archives the run and returns its commit as the store has it.
func archived(t *testing.T, a *Archiver, kind string) *manifest.Commit {
	t.Helper()
	result, err := a.Archive(t.Context(), run.Reference{Kind: kind, Namespace: "team", Name: "build"}, true)
	if err != nil || result.Outcome != Archived {
		t.Fatalf("%+v, phase %q: %v", result, PhaseOf(err), err)
	}
	for info, err := range a.Store.List(t.Context(), "clusters/default/commits/", "") {
		if err != nil {
			t.Fatal(err)
		}
		commit, err := manifest.Read(t.Context(), a.Store, info.Key)
		if err != nil {
			t.Fatal(err)
		}
		return commit
	}
	t.Fatal("there is no commit")
	return nil
}

// unnamed returns the keys of objects that no part of a commit names.
func unnamed(t *testing.T, a *Archiver, c *manifest.Commit) []string {
	t.Helper()
	named := map[string]bool{}
	for i := range c.Parts {
		named[c.Parts[i].Key] = true
	}
	var keys []string
	for info, err := range a.Store.List(t.Context(), "clusters/default/parts/", "") {
		if err != nil {
			t.Fatal(err)
		}
		if !named[info.Key] {
			keys = append(keys, info.Key)
		}
	}
	return keys
}

// finished returns a finished run with more fields of metadata, spec and status, in JSON without
// braces.
func finished(kind, metadata, spec, status string) []byte {
	group := map[string]string{"CustomRun": "v1beta1"}[kind]
	if group == "" {
		group = "v1"
	}
	return fmt.Appendf(nil, `{"apiVersion":"tekton.dev/%s","kind":%q,"metadata":{"name":"build","namespace":"team",
		"uid":%q,"resourceVersion":"1","creationTimestamp":"2026-11-20T10:42:11Z","finalizers":[%q]%s},
		"spec":{%s},"status":{"conditions":[{"type":"Succeeded","status":"True"}]%s}}`,
		group, kind, testUID, run.Finalizer, metadata, spec, status)
}
