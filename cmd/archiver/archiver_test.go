package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/controller"
	"github.com/indelible-ci/indelible/pkg/archive/identity"
	"github.com/indelible-ci/indelible/pkg/archive/index"
	"github.com/indelible-ci/indelible/pkg/archive/layout"
	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/object"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// madeArchive is an archive in a directory with one TaskRun, team/build, and a configuration for
// it.
type madeArchive struct {
	root, config string
	commit       string
	log          string
	database     string
	// inCommit: add embeds logs in commits.
	inCommit bool
}

// ownerUID identifies the cluster that the archive belongs to.
const ownerUID = "2f1c"

const record = `{"apiVersion":"tekton.dev/v1","kind":"TaskRun","metadata":{"name":"build","namespace":"team","uid":"u1"}}`

func makeArchive(t *testing.T) *madeArchive {
	t.Helper()
	a := &madeArchive{root: t.TempDir()}
	s, err := store.NewDirectory(a.root)
	must(t, err)
	created := time.Date(2025, 11, 20, 10, 42, 11, 0, time.UTC)
	const cluster layout.Cluster = "prod"
	key, err := cluster.Part(layout.Run{Created: created, UID: "u1"}, "k3v9x2m4q8", "log-0-step-a.txt")
	must(t, err)
	raw, stored, err := manifest.Store(t.Context(), s, key, strings.NewReader("hello\n"))
	must(t, err)
	c := &manifest.Commit{
		Cluster: string(cluster), Versions: manifest.Versions{Archiver: "v1"}, CommittedAt: created.Add(time.Minute),
		Run: manifest.Run{
			APIVersion: "tekton.dev/v1", Kind: "TaskRun", Namespace: "team", Name: "build", UID: "u1", Created: created,
			Status: "True", Reason: "Succeeded", Result: "r1",
		},
		Parts: []manifest.Part{
			manifest.InlinePart(manifest.Record, []byte(record)),
			{
				Type: manifest.Log, State: manifest.Complete, Container: "step-a", Key: key, Content: &raw,
				Stored: &stored,
			},
			{Type: manifest.Log, State: manifest.Missing, Reason: "the pod was gone", Container: "step-b"},
			manifest.InlinePart(manifest.Events, []byte(`{"kind":"EventList","items":[]}`)),
		},
	}
	data, err := manifest.Encode(c)
	must(t, err)
	commit, err := c.Key()
	must(t, err)
	must(t, s.Create(t.Context(), commit, bytes.NewReader(data)))
	must(t, identity.Bind(t.Context(), s, cluster, ownerUID, "test", created))
	database := filepath.Join(t.TempDir(), "index.db")
	x, err := index.Open(t.Context(), "sqlite://"+database)
	must(t, err)
	must(t, x.Put(t.Context(), index.Row{Commit: c, Record: []byte(record)}))
	must(t, x.SetComplete(t.Context(), string(cluster), true))
	must(t, x.Close())
	a.database = database
	a.config = filepath.Join(t.TempDir(), "config.yaml")
	must(t, os.WriteFile(a.config, fmt.Appendf(nil, `{apiVersion: config.indelible.dev/v1alpha1, kind: Configuration, publisher: {image: none},
archive: {cluster: prod, store: "file://%s", index: "sqlite://%s", retention: [{name: old, after: 24h, status: [Succeeded]}]}}`, a.root, database), 0o600))
	a.commit, a.log = filepath.Join(a.root, commit), filepath.Join(a.root, key)
	return a
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// run runs the command on the archive, without a cluster.
func (a *madeArchive) run(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = execute(t.Context(), append(args, "--config", a.config, "--kubeconfig", "/there/is/none"), &out, &errs)
	return code, out.String(), errs.String()
}

func TestCommands(t *testing.T) {
	for name, test := range map[string]struct {
		args           []string
		code           int
		stdout, stderr string
	}{
		"get shows a summary": {
			[]string{"get", "team/build"}, 0, "log step-a, attempt 1:  complete, 6 bytes", "",
		},
		"get shows what is missing": {[]string{"get", "team/build"}, 0, "missing: the pod was gone", ""},
		"get gives the run":         {[]string{"get", "team/build", "-o", "json"}, 0, record + "\n", ""},
		"get gives the log": {
			[]string{"get", "team/build", "--log"}, 0, "hello\n", "step-b, attempt 1, is missing: the pod was gone",
		},
		"get gives a step's log": {[]string{"get", "team/build", "--log", "--step", "a"}, 0, "hello\n", ""},
		"get gives a container's log": {
			[]string{"get", "team/build", "--log", "--container", "step-a"}, 0, "hello\n", "",
		},
		"get names the containers": {
			[]string{"get", "team/build", "--log", "--container", "sidecar-x"}, 1, "", "step-a, step-b",
		},
		"get wants --log with a step": {[]string{"get", "team/build", "--step", "a"}, 2, "", "go with --log"},
		"get gives events": {
			[]string{"get", "team/build", "--events"}, 0, `{"kind":"EventList","items":[]}`, "",
		},
		"get knows no other run": {[]string{"get", "team/other"}, 1, "", "no such run in the archive"},
		"get knows no other kind": {
			[]string{"get", "team/build", "--kind", "PipelineRun"}, 1, "", "no such run in the archive",
		},
		"get knows no other step": {
			[]string{"get", "team/build", "--log", "--step", "x"}, 1, "", "no such log",
		},
		"get wants a namespace": {[]string{"get", "build"}, 2, "", "NAMESPACE/NAME"},
		"get wants one run":     {[]string{"get"}, 2, "", "--help"},
		"get wants a form that it knows": {
			[]string{"get", "team/build", "-o", "yaml"}, 2, "", "must be summary or json",
		},
		"get wants a kind that it knows": {
			[]string{"get", "team/build", "--kind", "taskrun"}, 2, "", "must be TaskRun",
		},
		"list names runs":               {[]string{"list", "team"}, 0, "team/build", ""},
		"list knows other namespaces":   {[]string{"list", "other"}, 0, "CREATED", ""},
		"fsck finds nothing wrong":      {[]string{"fsck", "--archive-only"}, 0, "1 runs, 1 parts", ""},
		"fsck wants to ask the cluster": {[]string{"fsck"}, 1, "", "--archive-only"},
		"index sync has nothing to do":  {[]string{"index", "sync"}, 0, "0 rows added", ""},
		"index rebuild makes it anew":   {[]string{"index", "rebuild"}, 0, "1 rows added", ""},
		"hold wants a reason":           {[]string{"hold", "team/build"}, 2, "", "--reason"},
		"hold holds": {
			[]string{"hold", "team/build", "--reason", "audit"}, 0, "is held: audit", "",
		},
		"hold knows no other Result": {
			[]string{"hold", "team/none", "--result", "--reason", "audit"}, 1, "", "no such object",
		},
		"import wants a source": {[]string{"import"}, 2, "", "--api or --postgres"},
		"import asks whose archive it is": {
			[]string{"import", "--api", "127.0.0.1:1", "--plain"}, 1, "", "/there/is/none",
		},
		"import says what is not there": {
			[]string{"import", "--api", "127.0.0.1:1", "--plain", "--compare"}, 1, "", "connection refused",
		},
		"import sends no token in plain": {
			[]string{"import", "--api", "127.0.0.1:1", "--plain", "--token-file", "/x"}, 2, "", "without TLS",
		},
		"export wants to know where to":    {[]string{"export"}, 2, "", "--api"},
		"release wants to know which runs": {[]string{"release"}, 2, "", "give one of --refused"},
		"release takes one or the other":   {[]string{"release", "--all", "--refused"}, 2, "", "give one of --refused"},
		"release of all has no namespace":  {[]string{"release", "--all", "-n", "team"}, 2, "", "--namespace goes with --refused"},
		"run wants a Lease that counts": {[]string{"run", "--lease-duration", "1s"}, 2, "",
			"--lease-duration must be at least 5s"},
		"run does not look too often": {[]string{"run", "--reload-interval", "0s"}, 2, "",
			"--reload-interval must be at least 1s"},
		"an unknown command is refused": {[]string{"frobnicate"}, 2, "", "see archiver --help"},
		"an unknown flag is refused":    {[]string{"fsck", "--frobnicate"}, 2, "", "frobnicate"},
		"help is given":                 {[]string{"get", "--help"}, 0, "Of several runs that had the name", ""},
		"completion is given":           {[]string{"completion", "bash"}, 0, "complete", ""},
	} {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := makeArchive(t).run(t, test.args...)
			if code != test.code || !strings.Contains(stdout, test.stdout) || !strings.Contains(stderr, test.stderr) {
				t.Errorf("code %d, want %d\nstdout: %s\nstderr: %s", code, test.code, stdout, stderr)
			}
		})
	}
}

func TestHoldOnAResult(t *testing.T) {
	a := makeArchive(t)
	s, err := store.NewDirectory(a.root)
	must(t, err)
	o := object.New(s, "prod", time.Now)
	result := object.Object{Kind: object.Result, Parent: "team", Result: "r", Data: []byte("{}")}
	_, err = o.Create(t.Context(), result)
	must(t, err)
	for _, step := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"--release"}, exitFailed, "has no hold that could be taken off"},
		{[]string{"--reason", "audit"}, 0, "the Result team/r is held: audit"},
		{[]string{"--reason", "audit"}, exitFailed, "exists already"},
		{[]string{"--release"}, 0, "is taken off: audit"},
	} {
		code, stdout, stderr := a.run(t, append([]string{"hold", "--result", "team/r"}, step.args...)...)
		if code != step.code || !strings.Contains(stdout+stderr, step.want) {
			t.Errorf("%q: code %d, %s%s", step.args, code, stdout, stderr)
		}
	}
	if err := o.Delete(t.Context(), result.Name(), 0); err != nil {
		t.Error(err)
	}
}

// A PipelineRun's log has those of its TaskRuns, in order, without others of the same Result.
func TestLogOfAPipelineRun(t *testing.T) {
	a := makeArchive(t)
	created := time.Date(2025, 11, 20, 10, 0, 0, 0, time.UTC)
	a.add(t, "PipelineRun", "release", "p1", "", created, "")
	a.add(t, "TaskRun", "release-two", "t2", "p1", created.Add(2*time.Second), "two\n")
	a.add(t, "TaskRun", "release-one", "t1", "p1", created.Add(time.Second), "one\n")
	a.add(t, "TaskRun", "other", "t3", "p2", created.Add(time.Second), "other\n")
	a.inCommit = true // as small logs are
	a.add(t, "TaskRun", "release-three", "t4", "p1", created.Add(3*time.Second), "three\n")
	if code, stdout, stderr := a.run(t, "get", "team/release", "--log"); code != 0 ||
		stdout != "==> release-one\none\n==> release-two\ntwo\n==> release-three\nthree\n" {
		t.Errorf("code %d: %s%s", code, stdout, stderr)
	}
}

// add adds a run of the Result r1 with an owner, and a log if there is one.
func (a *madeArchive) add(t *testing.T, kind, name, uid, owner string, created time.Time, log string) {
	t.Helper()
	s, err := store.NewDirectory(a.root)
	must(t, err)
	record := fmt.Appendf(nil,
		`{"kind":%q,"metadata":{"name":%q,"ownerReferences":[{"apiVersion":"tekton.dev/v1","kind":"PipelineRun","uid":%q,"controller":true}]}}`, kind, name, owner)
	c := &manifest.Commit{
		Cluster: "prod", CommittedAt: created,
		Run: manifest.Run{
			Kind: kind, Namespace: "team", Name: name, UID: uid, Created: created, Status: "True", Result: "r1",
		},
		Parts: []manifest.Part{manifest.InlinePart(manifest.Record, record)},
	}
	if a.inCommit {
		p := manifest.Part{Type: manifest.Log, State: manifest.Complete, Container: "step-a"}
		p.SetText([]byte(log), manifest.MaxTexts)
		c.Parts = append(c.Parts, p)
	} else if log != "" {
		key, err := layout.Cluster("prod").Part(c.ID(), "k3v9x2m4q8", "log-0-step-a.txt")
		must(t, err)
		raw, stored, err := manifest.Store(t.Context(), s, key, strings.NewReader(log))
		must(t, err)
		c.Parts = append(c.Parts,
			manifest.Part{Type: manifest.Log, State: manifest.Complete, Container: "step-a", Key: key, Content: &raw,
				Stored: &stored})
	}
	data, err := manifest.Encode(c)
	must(t, err)
	commit, err := c.Key()
	must(t, err)
	must(t, s.Create(t.Context(), commit, bytes.NewReader(data)))
	if code, _, stderr := a.run(t, "index", "sync"); code != 0 {
		t.Fatal(stderr)
	}
}

// Commands that read the index do not create one, and do not treat an incomplete one as complete.
func TestIndexThatIsNotThere(t *testing.T) {
	a := makeArchive(t)
	elsewhere := filepath.Join(t.TempDir(), "config.yaml")
	text, err := os.ReadFile(a.config)
	must(t, err)
	must(t, os.WriteFile(elsewhere, bytes.ReplaceAll(text, []byte(a.root), []byte(a.root+"-typo")), 0o600))
	var out, errs bytes.Buffer
	if code := execute(t.Context(), []string{"get", "team/build", "--config", elsewhere}, &out,
		&errs); code != exitFailed || !strings.Contains(errs.String(), "there is no archive") {
		t.Errorf("of an archive that is not there: code %d, %s", code, errs.String())
	}
	if _, err := os.Stat(a.root + "-typo"); err == nil {
		t.Error("who only reads has made an archive")
	}
	spaced := filepath.Join(t.TempDir(), "a b") // of which the URL has a%20b
	must(t, os.Rename(a.root, spaced))
	must(t, os.WriteFile(elsewhere,
		bytes.ReplaceAll(text, []byte("file://"+a.root), []byte("file://"+strings.ReplaceAll(spaced, " ", "%20"))),
		0o600))
	if code := execute(t.Context(), []string{"get", "team/build", "--config", elsewhere}, &out, &errs); code != 0 {
		t.Errorf("of an archive whose URL has an escape: code %d, %s", code, errs.String())
	}
	must(t, os.Rename(spaced, a.root))
	must(t, os.Remove(a.database))
	for _, args := range [][]string{{"get", "team/build"}, {"hold", "team/build", "--reason", "audit"}, {"retention"}} {
		code, _, stderr := a.run(t, args...)
		if _, err := os.Stat(a.database); code != exitFailed || !strings.Contains(stderr, "archiver index sync") ||
			err == nil {
			t.Errorf("%s: code %d, %s, the index is there: %v", args[0], code, stderr, err == nil)
		}
	}
	x, err := index.Open(t.Context(), "sqlite://"+a.database)
	must(t, err)
	must(t, x.Close())
	for _, args := range [][]string{{"get", "team/build"}, {"retention", "--dry-run=false", "--owner", ownerUID}} {
		if code, _, stderr := a.run(t, args...); code != exitFailed ||
			!strings.Contains(stderr, "archiver index sync") {
			t.Errorf("%s: code %d, %s", args[0], code, stderr)
		}
	}
	a.run(t, "index", "sync")
	if code, _, stderr := a.run(t, "get", "team/build"); code != 0 {
		t.Errorf("get: code %d, %s", code, stderr)
	}
}

// Damage is reported with its own exit code, and never served.
func TestDamage(t *testing.T) {
	a := makeArchive(t)
	data, err := os.ReadFile(a.log)
	must(t, err)
	data[len(data)-5] ^= 1
	must(t, os.WriteFile(a.log, data, 0o600))
	if code, stdout, _ := a.run(t, "fsck", "--archive-only"); code != exitDamaged ||
		!strings.Contains(stdout, "damaged part") {
		t.Errorf("fsck: code %d\n%s", code, stdout)
	}
	if code, _, stderr := a.run(t, "get", "team/build", "--log"); code != exitFailed ||
		!strings.Contains(stderr, manifest.ErrDamaged.Error()) {
		t.Errorf("get: code %d\n%s", code, stderr)
	}
}

// Retention shows before it deletes, and does not delete held runs.
func TestRetentionCommand(t *testing.T) {
	a := makeArchive(t)
	there := func() bool { _, err := os.Stat(a.commit); return err == nil }
	if _, stdout, _ := a.run(t, "retention"); !strings.Contains(stdout, "1 runs would be deleted") || !there() {
		t.Errorf("dry run: %s", stdout)
	}
	if code, _, stderr := a.run(t, "hold", "team/build", "--release"); code != exitFailed ||
		!strings.Contains(stderr, "no hold that could be taken off") {
		t.Errorf("a hold that is not there is taken off: code %d, %s", code, stderr)
	}
	a.run(t, "hold", "team/build", "--reason", "audit")
	if _, stdout, _ := a.run(t, "get", "team/build"); !strings.Contains(stdout, "audit, by") {
		t.Errorf("get does not say that it is held: %s", stdout)
	}
	for _, wrong := range [][]string{nil, {"--owner", "another"}} {
		code, _, stderr := a.run(t, append([]string{"retention", "--dry-run=false"}, wrong...)...)
		if code != exitFailed || !strings.Contains(stderr, "cluster") || !there() {
			t.Errorf("%q: code %d, %s", wrong, code, stderr)
		}
	}
	apply := []string{"retention", "--dry-run=false", "--owner", ownerUID}
	if _, stdout, _ := a.run(t, apply...); !strings.Contains(stdout, "0 runs deleted") ||
		!strings.Contains(stdout, "1 kept") || !there() {
		t.Errorf("held: %s", stdout)
	}
	if code, stdout, stderr := a.run(t, "hold", "team/build", "--release"); code != 0 ||
		!strings.Contains(stdout, "is taken off: audit") {
		t.Errorf("code %d, %s%s", code, stdout, stderr)
	}
	if code, stdout, stderr := a.run(t, apply...); code != 0 ||
		!strings.Contains(stdout, "1 runs deleted") || there() {
		t.Errorf("code %d: %s%s", code, stdout, stderr)
	}
	if code, _, _ := a.run(t, "get", "team/build"); code != exitFailed {
		t.Errorf("it is still to be had: code %d", code)
	}
}

// The record is written byte for byte, for jq and kubectl.
func TestRecordIsJSON(t *testing.T) {
	_, stdout, _ := makeArchive(t).run(t, "get", "team/build", "-o", "json")
	if !json.Valid([]byte(stdout)) {
		t.Errorf("no JSON: %s", stdout)
	}
}

// A replica is ready once it archives, and not because it was told to stop.
func TestReadyWhenItWorks(t *testing.T) {
	for name, works := range map[string]bool{"when it works": true, "when it is told to stop": false} {
		t.Run(name, func(t *testing.T) {
			r := &replica{}
			r.notReady(controller.ErrAwaitsEvents)
			working := make(chan struct{})
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			if works {
				close(working)
			} else {
				stop()
			}
			r.readyWith(ctx, working)
			if ready := *r.state.Load() == nil; ready != works {
				t.Errorf("ready %v", ready)
			}
		})
	}
}
