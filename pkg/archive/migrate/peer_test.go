package migrate

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	pb "github.com/tektoncd/results/proto/v1alpha2/results_go_proto"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/indelible-ci/indelible/pkg/archive/fsck"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// peerProgram is the API server of Tekton Results, built from its module: (cd test/peer && go build
// -o FILE github.com/tektoncd/results/cmd/api). The build takes minutes and is done only once.
const peerProgram = "INDELIBLE_PEER_API"

// peer is a real Tekton Results with its own Postgres.
type peer struct {
	api      *API
	database string
	logs     string
}

func startPeer(t *testing.T) *peer {
	t.Helper()
	program := os.Getenv(peerProgram)
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if program == "" || len(found) == 0 {
		t.Skipf("%s names no API server of Tekton Results, or there is no Postgres", peerProgram)
	}
	folder, err := os.MkdirTemp("", "indelible-peer-") // Postgres does not run as root, and needs access
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	p := &peer{logs: filepath.Join(folder, "logs")}
	port, apiPort, metricsPort := freePort(t), freePort(t), freePort(t)
	startPostgres(t, filepath.Dir(slices.Max(found)), folder, port)
	p.database = "postgres://postgres@127.0.0.1:" + port + "/postgres?sslmode=disable"
	until(t, "the database answers", func() error {
		db, err := OpenDatabase(t.Context(), p.database)
		if err == nil {
			err = db.Close()
		}
		return err
	})
	settings := "DB_USER=postgres\nDB_PASSWORD=none\nDB_HOST=127.0.0.1\nDB_PORT=" + port +
		"\nDB_NAME=postgres\nDB_SSLMODE=disable\nDB_SSLROOTCERT=\n" +
		"DB_ENABLE_AUTO_MIGRATION=true\nDB_MAX_IDLE_CONNECTIONS=10\nDB_MAX_OPEN_CONNECTIONS=10\nGRPC_WORKER_POOL=2\nSERVER_PORT=" + apiPort + "\nPROMETHEUS_PORT=" + metricsPort + "\n" +
		"LOG_LEVEL=warn\nSQL_LOG_LEVEL=error\nTLS_PATH=/nonexistent\nFEATURE_GATES='PartialResponse=true'\nAUTH_DISABLE=true\n" +
		"LOGS_API=true\nLOGS_TYPE=File\nLOGS_BUFFER_SIZE=32768\nLOGS_PATH=" + p.logs + "\n"
	home := filepath.Join(folder, "api")
	if err := errors.Join(os.Mkdir(home, 0o700),
		os.WriteFile(filepath.Join(home, "config.env"), []byte(settings), 0o600)); err != nil {
		t.Fatal(err)
	}
	api := exec.Command(program)
	api.Dir, api.SysProcAttr = home, &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	begin(t, "Tekton Results", api)
	connection, err := grpc.NewClient("127.0.0.1:"+apiPort, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	p.api = NewAPI(connection)
	until(t, "its API answers", func() error {
		_, err := p.api.results.ListResults(t.Context(), &pb.ListResultsRequest{Parent: "-"})
		return err
	})
	return p
}

func startPostgres(t *testing.T, bin, folder, port string) {
	t.Helper()
	data, as := filepath.Join(folder, "data"), &syscall.SysProcAttr{Pdeathsig: syscall.SIGQUIT}
	if err := errors.Join(os.Mkdir(data, 0o700), os.Chmod(folder, 0o755)); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		nobody, err := user.Lookup("nobody")
		if err != nil {
			t.Fatal(err)
		}
		uid, err := strconv.ParseUint(nobody.Uid, 10, 32)
		if err := errors.Join(err, os.Chown(data, int(uid), -1)); err != nil {
			t.Fatal(err)
		}
		as.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}
	}
	initialize := exec.CommandContext(t.Context(), filepath.Join(bin, "initdb"), "-D", data, "-U", "postgres", "-A",
		"trust", "-E", "UTF8", "--locale=C.UTF-8")
	initialize.Dir, initialize.SysProcAttr = data, as
	if out, err := initialize.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v: %.1000s", err, out)
	}
	server := exec.Command(filepath.Join(bin, "postgres"), "-D", data, "-p", port, "-k", "", "-c",
		"listen_addresses=127.0.0.1", "-c", "fsync=off")
	server.Dir, server.SysProcAttr = data, as
	begin(t, "Postgres", server)
}

// begin starts a process that ends with the test.
func begin(t *testing.T, name string, cmd *exec.Cmd) {
	t.Helper()
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatalf("starting %s: %v", name, err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGQUIT)
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s said: %.4000s", name, said.String())
		}
	})
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// until repeats a function until it succeeds, for a minute.
func until(t *testing.T, what string, works func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		err := works()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("not until: %s: %v", what, err)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// fill writes a sample to a Tekton Results, as its watcher does.
func (p *peer) fill(t *testing.T, m *memory) {
	t.Helper()
	e := &exporting{ExportOptions: ExportOptions{To: p.api}}
	for _, r := range m.results {
		parent, _, _ := strings.Cut(r.GetName(), "/")
		if err := e.result(t.Context(), parent, r); err != nil {
			t.Fatal(err)
		}
		for _, record := range m.records[r.GetName()] {
			data := record.GetData().GetValue()
			if record.GetData().GetType() == logType {
				data = unstored(data)
			}
			if err := e.record(t.Context(), record.GetName(), record.GetData().GetType(), data); err != nil {
				t.Fatal(err)
			}
			if log, ok := m.logs[record.GetName()]; ok {
				if err := e.send(t.Context(), logNameOf(record.GetName()), strings.NewReader(log)); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

// Import from a real Tekton Results by API and database, and export to it.
func TestWithARealTektonResults(t *testing.T) {
	p := startPeer(t)
	m := sample()
	for i := range 12 { // more than one page of records
		m.add("team-a/results/many", fmt.Sprintf("report-%02d", i), "example.dev/v1.Report",
			fmt.Sprintf(`{"n":%d,"text":"<é>"}`, i))
	}
	for i := range 230 { // more than one page of Results
		m.add(fmt.Sprintf("team-c/results/r-%03d", i), "report", "example.dev/v1.Report", "1")
	}
	p.fill(t, m)
	database, err := OpenDatabase(t.Context(), p.database)
	if err != nil {
		t.Fatal(err)
	}
	defer database.Close()
	database.Folder = p.logs
	byAPI, _ := archiveIn(t)
	byDatabase, _ := archiveIn(t)
	var differs []string
	for name, one := range map[string]struct {
		source Source
		into   store.Store
	}{"API": {p.api, byAPI}, "database": {database, byDatabase}} {
		totals, err := Import(t.Context(), options(one.source, one.into, &differs))
		if err != nil || totals.Results != 233 || totals.Runs != 2 || totals.Logs != 3 || totals.Stored == 0 ||
			totals.Missing+totals.Different+totals.There > 0 || len(differs) > 0 {
			t.Errorf("by %s: %+v, %v, %q", name, totals, err, differs)
		}
		if _, err := fsck.Check(t.Context(),
			fsck.Options{Store: one.into, Cluster: cluster, Now: time.Now(),
				Found: func(f fsck.Finding) { t.Error(f) }}); err != nil {
			t.Error(err)
		}
	}
	// What was imported by one way is equal to what the other way returns.
	compare := func(source Source, with store.Store) {
		t.Helper()
		again := options(source, with, &differs)
		again.Compare = true
		totals, err := Import(t.Context(), again)
		if err != nil || totals.There == 0 || totals.Missing+totals.Different+totals.Stored > 0 || len(differs) > 0 {
			t.Errorf("compared %+v, %v, %q", totals, err, differs)
		}
	}
	compare(p.api, byDatabase)
	compare(database, byAPI)

	db, err := sql.Open("pgx", p.database)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), "TRUNCATE results, records"); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(p.logs); err != nil {
		t.Fatal(err)
	}
	export := ExportOptions{Store: byAPI, Cluster: cluster, To: p.api, LogType: "File",
		Damaged: func(key string, err error) { t.Errorf("%s: %v", key, err) }}
	totals, err := Export(t.Context(), export)
	if err != nil || totals.Results != 233 || totals.Runs != 2 || totals.Logs != 3 {
		t.Errorf("exported %+v, %v", totals, err)
	}
	compare(p.api, byAPI)
	if totals, err = Export(t.Context(), export); err != nil || totals.Stored+totals.Logs > 0 {
		t.Errorf("exported again: %+v, %v", totals, err)
	}
}
