package main

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
	"syscall"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx": what the peer has stored is counted in its database
	pipelinev1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// peerRuns is a backlog that both get, and peerIdle how many runs of Tekton one after the
	// other.
	peerRuns, peerIdle = 1_000, 20
	// storedAnnotation is what Tekton Results says when a run is stored, and we with it.
	storedAnnotation = "results.tekton.dev/stored"
)

// peer measures Tekton Results and Indelible in one run: first ours, then theirs, each alone.
// Theirs has no limit on requests, no TLS and nobody to authorize; its database flushes to the disk
// that is measured.
func (b *bench) peer(ctx context.Context) ([]row, error) {
	note("a backlog of %d runs, and %d runs one after the other: Indelible, then Tekton Results", peerRuns, peerIdle)
	ours, err := b.oursForPeer(ctx)
	if err != nil {
		return nil, err
	}
	theirs, err := b.theirs(ctx)
	if err != nil {
		return nil, fmt.Errorf("measuring Tekton Results: %w", err)
	}
	return []row{
		says(fmt.Sprintf("backlog of %d runs, stored, from the start of the process: Indelible, Tekton Results, ratio",
			peerRuns),
			"%.0f, %.0f runs/s, %.1f", ours.rate(), theirs.rate(), ours.rate()/theirs.rate()),
		says(fmt.Sprintf(
			"done → annotated as stored, as another watch sees both, p50 of %d runs without logs: Indelible, Tekton Results, ratio", peerIdle),
			"%.1f, %.1f ms, %.2f", ms(ours.idle), ms(theirs.idle), ms(ours.idle)/ms(theirs.idle)),
	}, nil
}

// contender is what one of the two did.
type contender struct{ backlog, idle time.Duration }

func (c contender) rate() float64 { return peerRuns / c.backlog.Seconds() }

func (b *bench) oursForPeer(ctx context.Context) (c contender, err error) {
	err = b.alone(ctx, func() error {
		if err := b.seed(ctx, peerRuns, finished); err != nil {
			return err
		}
		began := time.Now()
		p, err := b.startArchiver(ctx, "peer-ours", setting{logs: "none"})
		if err != nil {
			return err
		}
		if err = b.ready(ctx, p); err == nil {
			c.backlog, err = b.outcome(ctx, p, "committed", peerRuns, began)
		}
		_, stopErr := p.stop()
		return errors.Join(err, stopErr, b.removeRuns(context.WithoutCancel(ctx)))
	})
	if err != nil {
		return c, err
	}
	p, err := b.startArchiver(ctx, "peer-ours", setting{logs: "none"})
	if err != nil {
		return c, err
	}
	if err = b.ready(ctx, p); err == nil {
		c.idle, err = b.stored(ctx, "ours")
	}
	_, stopErr := p.stop()
	return c, errors.Join(err, stopErr)
}

// stored makes runs one after the other, and returns how long after its end each was said to be
// stored, at the median.
func (b *bench) stored(ctx context.Context, name string) (time.Duration, error) {
	var all []time.Duration
	for i := range peerIdle + 1 {
		took, err := b.oneRunUntil(ctx, fmt.Sprintf("%s-%d", name, i), logTask,
			func(t *pipelinev1.TaskRun) bool { return t.Annotations[storedAnnotation] == "true" })
		if err != nil {
			return 0, err
		}
		if i > 0 { // the first opens connections
			all = append(all, took)
		}
	}
	return quantile(all, .5), nil
}

func (b *bench) theirs(ctx context.Context) (c contender, err error) {
	r := &tektonResults{b: b, folder: filepath.Join(b.folder, "peer")}
	defer func() { err = errors.Join(err, r.stop()) }()
	if err := r.startAPI(ctx, "LOGS_API=false"); err != nil {
		return c, err
	}
	if err := r.build(ctx, "watcher"); err != nil {
		return c, err
	}
	// Its configuration, all by default.
	for _, name := range []string{"logging", "observability", "leader-election", "results-retention-policy"} {
		empty := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "tekton-results-config-" + name}}
		if _, err := b.cluster.Kube.CoreV1().ConfigMaps(b.namespace).Create(ctx, empty,
			metav1.CreateOptions{}); err != nil {
			return c, err
		}
	}
	err = b.alone(ctx, func() error {
		if err := b.seed(ctx, peerRuns, finished); err != nil {
			return err
		}
		began := time.Now()
		if err := r.startWatcher(b.namespace); err != nil {
			return err
		}
		err := b.until(ctx, fmt.Sprintf("%d runs are stored", peerRuns), func() (bool, error) {
			n, err := r.records(ctx)
			return n >= peerRuns, errors.Join(err, r.alive())
		})
		c.backlog = time.Since(began)
		return errors.Join(err, b.removeRuns(context.WithoutCancel(ctx)))
	})
	if err == nil {
		c.idle, err = b.stored(ctx, "theirs")
	}
	return c, err
}

// tektonResults is a Tekton Results of processes beside the control plane.
type tektonResults struct {
	b           *bench
	folder, api string
	database    *sql.DB
	running     []*exec.Cmd
	ended       []chan struct{}
}

func (r *tektonResults) build(ctx context.Context, program string) error {
	note("building Tekton Results' %s (cold 3 min)", program)
	return build(ctx, "test/peer", filepath.Join(r.folder, program), "github.com/tektoncd/results/cmd/"+program)
}

// startAPI starts a database and the API server with settings for logs.
func (r *tektonResults) startAPI(ctx context.Context, logs string) error {
	if err := r.build(ctx, "api"); err != nil {
		return err
	}
	addresses, err := freePorts(ctx, 4)
	if err != nil {
		return err
	}
	var ports []string
	for _, a := range addresses {
		_, port, err := net.SplitHostPort(a)
		if err != nil {
			return err
		}
		ports = append(ports, port)
	}
	if err := r.startDatabase(ctx, ports[0]); err != nil {
		return err
	}
	r.api = addresses[1]
	settings := "DB_USER=postgres\nDB_PASSWORD=none\nDB_HOST=127.0.0.1\nDB_PORT=" + ports[0] +
		"\nDB_NAME=postgres\nDB_SSLMODE=disable\nDB_SSLROOTCERT=\nDB_ENABLE_AUTO_MIGRATION=true\n" +
		"DB_MAX_IDLE_CONNECTIONS=10\nDB_MAX_OPEN_CONNECTIONS=10\nGRPC_WORKER_POOL=2\nSERVER_PORT=" + ports[1] +
		"\nPROMETHEUS_PORT=" + ports[2] + "\n" +
		"LOG_LEVEL=warn\nSQL_LOG_LEVEL=error\nTLS_PATH=/nonexistent\nFEATURE_GATES='PartialResponse=true'\nAUTH_DISABLE=true\n" + logs + "\n"
	if err := os.WriteFile(filepath.Join(r.folder, "config.env"), []byte(settings), 0o600); err != nil {
		return err
	}
	if err := r.start("api", exec.Command(filepath.Join(r.folder, "api"))); err != nil {
		return err
	}
	return r.b.until(ctx, "its API server has made its tables", func() (bool, error) {
		_, err := r.records(ctx)
		return err == nil, r.alive()
	})
}

func (r *tektonResults) startWatcher(namespace string) error {
	watcher := exec.Command(filepath.Join(r.folder, "watcher"), "-api_addr="+r.api, "-auth_mode=insecure",
		"-namespace="+namespace, "-qps=10000", "-burst=10000",
		"-threadiness=32", "-disable-ha")
	watcher.Env = append(os.Environ(), "SYSTEM_NAMESPACE="+namespace,
		"CONFIG_LOGGING_NAME=tekton-results-config-logging",
		"CONFIG_OBSERVABILITY_NAME=tekton-results-config-observability",
		"CONFIG_LEADERELECTION_NAME=tekton-results-config-leader-election", "METRICS_DOMAIN=tekton.dev/results")
	return r.start("watcher", watcher)
}

// startDatabase starts a Postgres that flushes as it does by default. As root it runs as nobody: it
// refuses to be root.
func (r *tektonResults) startDatabase(ctx context.Context, port string) error {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		return errors.Join(err, errors.New("no Postgres server is installed: run `make postgres`"))
	}
	bin := filepath.Dir(slices.Max(found))
	data, err := os.MkdirTemp(filepath.Dir(filepath.Dir(r.folder)), "indelible-bench-postgres-")
	if err != nil {
		return err
	}
	as := &syscall.SysProcAttr{Pdeathsig: syscall.SIGQUIT}
	if os.Geteuid() == 0 {
		nobody, err := user.Lookup("nobody")
		if err != nil {
			return err
		}
		uid, err := strconv.ParseUint(nobody.Uid, 10, 32)
		if err := errors.Join(err, os.Chown(data, int(uid), -1)); err != nil {
			return err
		}
		as.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}
	}
	initialize := exec.CommandContext(ctx, filepath.Join(bin, "initdb"), "-D", data, "-U", "postgres", "-A", "trust",
		"-E", "UTF8", "--locale=C.UTF-8")
	initialize.Dir, initialize.SysProcAttr = data, as
	if out, err := initialize.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %.1000s", err, out)
	}
	server := exec.Command(filepath.Join(bin, "postgres"), "-D", data, "-p", port, "-k", "", "-c",
		"listen_addresses=127.0.0.1")
	server.Dir, server.SysProcAttr = data, as
	if err := r.start("postgres", server); err != nil {
		return err
	}
	if r.database,
		err = sql.Open("pgx", "postgres://postgres@127.0.0.1:"+port+"/postgres?sslmode=disable"); err != nil {
		return err
	}
	return r.b.until(ctx, "its database answers",
		func() (bool, error) { return r.database.PingContext(ctx) == nil, r.alive() })
}

func (r *tektonResults) start(name string, cmd *exec.Cmd) error {
	log, err := os.Create(filepath.Join(r.folder, name+".log"))
	if err != nil {
		return err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if cmd.Dir == "" {
		cmd.Dir = r.folder
	}
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting %s: %w", name, err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	r.running, r.ended = append(r.running, cmd), append(r.ended, ended)
	return nil
}

// alive says which of the processes has ended, and its last words.
func (r *tektonResults) alive() error {
	for i, ended := range r.ended {
		select {
		case <-ended:
			name := filepath.Base(r.running[i].Path)
			text, _ := os.ReadFile(filepath.Join(r.folder, name+".log"))
			return fmt.Errorf("%s ended: %s", name, text[max(len(text)-1000, 0):])
		default:
		}
	}
	return nil
}

func (r *tektonResults) records(ctx context.Context) (n int, err error) {
	err = r.database.QueryRowContext(ctx, "SELECT count(*) FROM records WHERE type LIKE '%TaskRun'").Scan(&n)
	return n, err
}

// stop ends the processes, the last one first.
func (r *tektonResults) stop() error {
	var err error
	if r.database != nil {
		err = r.database.Close()
	}
	for i, cmd := range slices.Backward(r.running) {
		_ = cmd.Process.Signal(syscall.SIGQUIT)
		<-r.ended[i]
		if filepath.Base(cmd.Path) == "postgres" {
			err = errors.Join(err, os.RemoveAll(cmd.Dir))
		}
	}
	return err
}
