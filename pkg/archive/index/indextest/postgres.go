package indextest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx", which creates the databases
)

// Postgres starts a server for the duration of a test, in a directory of its own with a socket. It
// returns a function that creates an empty database and returns its URL. `make postgres` installs
// what it needs.
func Postgres(t *testing.T) (database func(t *testing.T) string) {
	t.Helper()
	s := &server{bin: postgresBinaries(t), dir: privateDirectory(t)}
	s.owner = s.ownerOf(t)
	data := filepath.Join(s.dir, "data")
	s.run(t, "initdb", "-D", data, "-U", "indelible", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync",
		"--no-instructions")
	// Nothing has to outlive the test: without fsync its many databases cost little.
	server := s.command("postgres", "-D", data, "-k", s.dir, "-c", "listen_addresses=", "-c", "fsync=off", "-c",
		"max_connections=200", "-c", "shared_buffers=32MB")
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Signal(syscall.SIGQUIT) // immediately: its files go with the directory
		_ = server.Wait()
	})
	admin := s.connect(t)
	var made atomic.Int64
	return func(t *testing.T) string {
		t.Helper()
		name := fmt.Sprint("test", made.Add(1))
		if _, err := admin.ExecContext(t.Context(), "CREATE DATABASE "+name); err != nil {
			t.Fatal(err)
		}
		return s.url(name)
	}
}

type server struct {
	bin, dir string
	// owner is the user of the server, nil for the test's user: Postgres refuses to run as root.
	owner *syscall.Credential
}

// postgresBinaries returns the directory of the newest installed server. Without one the test fails
// for root, who can install it, and is skipped for others.
func postgresBinaries(t *testing.T) string {
	t.Helper()
	if os.Getenv("INDELIBLE_NO_POSTGRES") != "" {
		t.Skip("INDELIBLE_NO_POSTGRES is set: the index is not tested with Postgres")
	}
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path)
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb") // Debian's, not in PATH
	if err != nil {
		t.Fatal(err)
	}
	if len(found) > 0 {
		return filepath.Dir(slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) }))
	}
	if os.Geteuid() == 0 {
		t.Fatal("no Postgres server is installed: run `make postgres`, or set INDELIBLE_NO_POSTGRES to go without")
	}
	t.Skip("no Postgres server is installed (Debian: postgresql): the index is not tested with it")
	return ""
}

func version(initdb string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(initdb))))
	return n
}

// privateDirectory differs from t.TempDir, whose parents other users cannot enter.
func privateDirectory(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "indelible-postgres-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func (s *server) ownerOf(t *testing.T) *syscall.Credential {
	t.Helper()
	if os.Geteuid() != 0 {
		return nil
	}
	u, err := user.Lookup("nobody")
	if err != nil {
		t.Fatal(err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	if err := errors.Join(err, err2, os.Chown(s.dir, int(uid), int(gid))); err != nil {
		t.Fatal(err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

// command runs one of the server's programs. It ends with the test's process, even if that is
// killed.
func (s *server) command(name string, args ...string) *exec.Cmd {
	c := exec.Command(filepath.Join(s.bin, name), args...)
	c.Dir = s.dir
	c.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8"}
	c.SysProcAttr = &syscall.SysProcAttr{Credential: s.owner, Pdeathsig: syscall.SIGQUIT}
	return c
}

func (s *server) run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := s.command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", name, err, out)
	}
}

// connect waits until the server accepts connections.
func (s *server) connect(t *testing.T) *sql.DB {
	t.Helper()
	db, err := sql.Open("pgx", s.url("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		if err = db.PingContext(ctx); err == nil {
			return db
		}
		select {
		case <-ctx.Done():
			t.Fatalf("the server does not come up: %v", err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (s *server) url(database string) string {
	u := url.URL{Scheme: "postgres", Path: "/" + database, RawQuery: url.Values{"host": {s.dir},
		"user": {"indelible"}}.Encode()}
	return u.String()
}
