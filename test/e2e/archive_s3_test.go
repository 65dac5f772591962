//go:build e2e

package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/archiver"
	"github.com/indelible-ci/indelible/pkg/archive/store"
	"github.com/indelible-ci/indelible/pkg/archive/store/cloud"
)

// s3 is a real S3 server behind a proxy that injects faults: a program of test/storage, a module of
// its own.
type s3 struct {
	Endpoint, Store, Control string
	Environment              map[string]string
}

func newS3(t *testing.T) *s3 {
	t.Helper()
	cmd := exec.CommandContext(context.Background(), program(t, "../storage", "./cmd/s3"), "-stdin")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	s, lines := &s3{}, bufio.NewScanner(out)
	for lines.Scan() && !strings.HasPrefix(lines.Text(), "{") { // the server has something to say before
	}
	if err := json.Unmarshal(lines.Bytes(), s); err != nil {
		t.Fatal(err)
	}
	for name, value := range s.Environment { // the same for all servers: t.Setenv would keep tests from being parallel
		if err := os.Setenv(name, value); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func (s *s3) open(t *testing.T) store.Store {
	t.Helper()
	opened, err := cloud.Open(t.Context(), s.Store+"&timeout=4s")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = opened.Close() })
	return opened
}

// struck returns how often the fault has struck; "gone" is not counted.
func (s *s3) struck(p *place) (times int) {
	p.t.Helper()
	request, err := http.NewRequestWithContext(p.ctx, http.MethodGet, s.Control+"/fault", nil)
	if err != nil {
		p.t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		p.t.Fatal(err)
	}
	defer response.Body.Close()
	answer := struct{ Struck *int }{&times}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		p.t.Fatal(err)
	}
	return times
}

// fault sets a fault, or with "" ends it.
func (s *s3) fault(p *place, kind string) {
	p.t.Helper()
	method, body := http.MethodPost, `{"kind":"`+kind+`"}`
	if kind == "" {
		method, body = http.MethodDelete, ""
	}
	request, err := http.NewRequestWithContext(p.ctx, method, s.Control+"/fault", strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		p.t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode >= 300 {
		p.t.Fatalf("fault %q: %s", kind, response.Status)
	}
}

// Whatever the store does, a finished run stays until it is archived, a metric says that it waits,
// and it is archived once the store works again.
func TestArchiveWhileTheStoreFails(t *testing.T) {
	t.Parallel()
	p, server := newLongPlace(t, 20*time.Minute), newS3(t)
	a := newArchivist(t, server.open(t), archiver.Follow)
	// 3 MB that do not compress below 2: connections are cut after 1 MiB.
	const script = "head -c 2250000 /dev/urandom | base64; printf true > $(results.text.path)"
	for _, fault := range []struct {
		kind string
		// passes says that runs may be archived in spite of it.
		passes bool
	}{
		{"gone", false}, {"reset", false}, {"5xx", false}, {"full", false}, {"409", false}, {"412", false},
		{"silent", false},
		{"cut-upload", true}, {"slow", true}, {"lost-response", true}, {"cut-download", true},
	} {
		t.Run(fault.kind, func(t *testing.T) {
			p := &place{t: t, ctx: p.ctx, namespace: p.namespace}
			name := "run-" + strings.ReplaceAll(fault.kind, "5xx", "s")
			server.fault(p, fault.kind)
			failed := a.failures(t)
			p.create(renamed(a.mine(taskRunOf("- {name: text}", script)), name))
			tr := p.taskRun(name)
			if !fault.passes {
				p.eventually("the archiver to fail", func() (bool, error) { return a.failures(t) > failed, nil })
				if fault.kind == "gone" {
					p.eventually("the metric to say so", func() (bool, error) { return a.waits(t) == 1, nil })
				}
				if tr, err := cluster.TaskRun(p.ctx, p.namespace, name); err != nil ||
					tr.Annotations[archivedAt] != "" {
					t.Errorf("released: %v, %v", tr.Annotations, err)
				}
			}
			if fault.kind != "gone" {
				p.eventually("the fault to strike", func() (bool, error) { return server.struck(p) > 0, nil })
			}
			server.fault(p, "")
			began := time.Now()
			p.archived(tr.Name)
			t.Logf("archived %s after the store was back", time.Since(began).Round(100*time.Millisecond))
		})
	}
	p.eventually("nothing to wait", func() (bool, error) { return a.waits(t) == 0, nil })
	a.fsck(p, 11)
}

// waits returns how many runs wait because a phase failed.
func (a *archivist) waits(t *testing.T) float64 {
	t.Helper()
	return a.phases(t, "indelible_archive_waiting_runs")
}

// failures returns how often a phase has failed.
func (a *archivist) failures(t *testing.T) float64 {
	t.Helper()
	return a.phases(t, "indelible_archive_failures_total")
}

func (a *archivist) phases(t *testing.T, name string) float64 {
	t.Helper()
	sum := 0.
	for _, phase := range []string{"snapshot", "record", "logs", "events", "commit", "index", "release"} {
		sum += a.metric(t, name, phase)
	}
	return sum
}

// A store that is unavailable for ten minutes (in the long form) delays runs for as long, and loses
// none.
func TestArchiveAfterALongOutage(t *testing.T) {
	t.Parallel()
	p, server := newLongPlace(t, 25*time.Minute), newS3(t)
	a := newArchivist(t, server.open(t), archiver.Follow)
	server.fault(p, "gone")
	for _, name := range []string{"run-1", "run-2", "run-3"} {
		p.create(renamed(a.mine(taskRunOf("- {name: text}", "printf true > $(results.text.path)")), name))
	}
	for _, name := range []string{"run-1", "run-2", "run-3"} {
		p.taskRun(name)
	}
	p.kubectl("delete", "taskrun", "run-1", "-n", p.namespace, "--wait=false")
	outage := time.Duration(often(600, 5)) * time.Second
	p.eventually("the outage to last", func() (bool, error) {
		return a.metric(t, "indelible_archive_oldest_waiting_seconds", "commit")+
			a.metric(t, "indelible_archive_oldest_waiting_seconds", "logs") > outage.Seconds(), nil
	})
	if tr, err := cluster.TaskRun(p.ctx, p.namespace, "run-1"); err != nil || tr.DeletionTimestamp.IsZero() {
		t.Errorf("the deleted run did not stay: %v", err)
	}
	server.fault(p, "")
	p.gone("run-1")
	p.archived("run-2")
	p.archived("run-3")
	a.fsck(p, 3)
}
