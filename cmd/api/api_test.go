package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/identity"
	"github.com/indelible-ci/indelible/pkg/archive/index"
	"github.com/indelible-ci/indelible/pkg/archive/query/access"
	"github.com/indelible-ci/indelible/pkg/archive/query/access/accesstest"
	"github.com/indelible-ci/indelible/pkg/archive/store"
	"github.com/indelible-ci/indelible/pkg/daemon/command"
)

func TestCommandLine(t *testing.T) {
	for args, want := range map[string]struct {
		code        int
		out, failed string
	}{
		"":                       {0, "Serves the archive as Tekton Results does", ""},
		"--help":                 {0, "completion", ""},
		"run --help":             {0, "--read-only", ""},
		"--version":              {0, "api version dev", ""},
		"completion bash":        {0, "complete -o default", ""},
		"run now":                {command.Usage, "", "unknown command"},
		"run --port=1":           {command.Usage, "", "unknown flag: --port; see api run --help"},
		"run --log-level=loud":   {command.Usage, "", "log-level"},
		"run --config=/not/here": {command.Failed, "", "/not/here"},
	} {
		var out, failed bytes.Buffer
		code := execute(t.Context(), strings.Fields(args), &out, &failed)
		if code != want.code || !strings.Contains(out.String(), want.out) ||
			!strings.Contains(failed.String(), want.failed) {
			t.Errorf("%q: code %d, %.200q, %.200q", args, code, &out, &failed)
		}
	}
}

// said collects the program's log, and parses its lines.
type said struct {
	mu   sync.Mutex
	text bytes.Buffer
	line chan map[string]any
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text.Write(p)
	for line := range bytes.Lines(p) {
		var values map[string]any
		if json.Unmarshal(line, &values) == nil {
			s.line <- values
		}
	}
	return len(p), nil
}

// wait returns the values of the next line with a message.
func (s *said) wait(t *testing.T, message string) map[string]any {
	t.Helper()
	late := time.After(time.Minute)
	for {
		select {
		case line := <-s.line:
			if line["msg"] == message {
				return line
			}
		case <-late:
			t.Fatalf("no line %q in\n%s", message, &s.text)
		}
	}
}

// place is an archive in a directory with its index, a configuration, and a fake cluster.
type place struct {
	cluster            *accesstest.Cluster
	root, config, kube string
}

func newPlace(t *testing.T) *place {
	t.Helper()
	p := &place{cluster: accesstest.New(t), root: t.TempDir()}
	p.cluster.User("token", "reader")
	p.cluster.Allow(accesstest.Rule{Who: "reader", Namespace: "team", Group: access.Group, Verb: "list"})
	archive, database := filepath.Join(p.root, "archive"), filepath.Join(p.root, "index.db")
	p.config, p.kube = filepath.Join(p.root, "config.yaml"), filepath.Join(p.root, "kubeconfig")
	write := func(path, text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(p.config,
		fmt.Sprintf("{apiVersion: config.indelible.dev/v1alpha1, kind: Configuration, publisher: {image: p},\n"+
			"archive: {cluster: prod, store: file://%s, index: sqlite://%s}}", archive, database))
	write(p.kube,
		fmt.Sprintf(
			"{apiVersion: v1, kind: Config, current-context: c, clusters: [{name: k, cluster: {server: %q}}],\n"+
				"contexts: [{name: c, context: {cluster: k, user: u}}], users: [{name: u, user: {token: t}}]}",
			p.cluster.Config.Host))
	x, err := index.Open(t.Context(), "sqlite://"+database)
	if err == nil {
		err = x.SetComplete(t.Context(), "prod", true)
	}
	if err != nil {
		t.Fatal(err)
	}
	_ = x.Close()
	return p
}

func (p *place) args(more ...string) []string {
	return append([]string{"run", "--config=" + p.config, "--kubeconfig=" + p.kube, "--address=127.0.0.1:0",
		"--metrics-address=127.0.0.1:0",
		"--health-address=127.0.0.1:0"}, more...)
}

func get(t *testing.T, url, token string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

func TestRun(t *testing.T) {
	p := newPlace(t)
	log := &said{line: make(chan map[string]any, 100)}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	go func() { ended <- execute(ctx, p.args(), io.Discard, log) }()
	starting := log.wait(t, "Starting")
	serving := log.wait(t, "Serving")
	const path = "/apis/results.tekton.dev/v1alpha2/parents/team/results"
	url := "http://" + serving["api"].(string)
	if code, text := get(t, url+path, "token"); code != 200 || text != "{}" {
		t.Errorf("who may list: %d %s", code, text)
	}
	if code, _ := get(t, url+path, "forged"); code != 401 {
		t.Errorf("a forged token: %d", code)
	}
	if code, text := get(t, "http://"+starting["health"].(string)+"/readyz", ""); code != 200 {
		t.Errorf("readyz: %d %s", code, text)
	}
	if code, text := get(t, "http://"+starting["metrics"].(string)+"/metrics", ""); code != 200 ||
		!strings.Contains(text, `indelible_api_requests_total{code="OK",method="ListResults"} 1`) {
		t.Errorf("metrics: %d %s", code, text)
	}
	stop()
	if code := <-ended; code != 0 {
		t.Errorf("ends with %d: %s", code, &log.text)
	}
}

// What waiting cannot mend ends the program, so that it is seen.
func TestNeverServed(t *testing.T) {
	replace := func(old, new string) func(t *testing.T, p *place) {
		return func(t *testing.T, p *place) {
			t.Helper()
			text, err := os.ReadFile(p.config)
			if err == nil {
				err = os.WriteFile(p.config, bytes.Replace(text, []byte(old), []byte(new), 1), 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, test := range map[string]struct {
		do   func(t *testing.T, p *place)
		want string
	}{
		"a cluster that has no name": {replace("cluster: prod", "cluster: Not_A_Name"), "archive.cluster"},
		"an index that is none":      {replace("sqlite:///", "sqlite://"), "absolute path"},
		"an index of a later version": {func(t *testing.T, p *place) {
			t.Helper()
			db, err := sql.Open("sqlite", filepath.Join(p.root, "index.db"))
			if err == nil {
				_, err = db.ExecContext(t.Context(), `UPDATE indelible_schema SET version = version + 1`)
			}
			if err = errors.Join(err, db.Close()); err != nil {
				t.Fatal(err)
			}
		}, "of a later Indelible"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			test.do(t, p)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // it tried for ever
			defer cancel()
			var failed bytes.Buffer
			if code := execute(ctx, p.args(), io.Discard, &failed); code != command.Failed ||
				!strings.Contains(failed.String(), test.want) {
				t.Errorf("%d %s", code, &failed)
			}
		})
	}
}

// The archive of another cluster is not served: its runs must be read by that cluster's rules.
func TestArchiveOfAnotherCluster(t *testing.T) {
	p := newPlace(t)
	s, err := store.NewDirectory(filepath.Join(p.root, "archive"))
	if err == nil {
		err = identity.Bind(t.Context(), s, "prod", "the UID of another kube-system", "test", time.Now())
	}
	if err != nil {
		t.Fatal(err)
	}
	var failed bytes.Buffer
	if code := execute(t.Context(), p.args(), io.Discard, &failed); code != command.Failed ||
		!strings.Contains(failed.String(), "it is the archive of another cluster") {
		t.Errorf("%d %s", code, &failed)
	}
}
