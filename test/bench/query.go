package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/index"
	"github.com/indelible-ci/indelible/pkg/archive/index/indextest"
	"github.com/indelible-ci/indelible/pkg/archive/query"
	"github.com/indelible-ci/indelible/pkg/archive/query/engine"
)

// queryTimes is how often each question is asked, slowTimes one that takes seconds.
const queryTimes, slowTimes = 200, 5

// question is one that clients ask. Each time it is another namespace, pipeline or run.
type question struct {
	what string
	// p50 and p99 are the targets, in milliseconds, 0 for none; with a thousand runs as with a
	// million.
	p50, p99 float64
	times    int
	ask      func(ctx context.Context, e *engine.Engine, r *rand.Rand) error
}

const anyRun = `(data_type == "tekton.dev/v1.PipelineRun" || data_type == "tekton.dev/v1.TaskRun")`

// asked asks an engine something.
type asked func(context.Context, *engine.Engine, *rand.Rand) error

// listing lists records of a place, newest first, with a random Pipeline for PIPELINE in the
// filter. It fails if there are more than want, unless that is negative.
func listing(place func(*rand.Rand) string, want int, filter string) asked {
	return func(ctx context.Context, e *engine.Engine, r *rand.Rand) error {
		f := strings.ReplaceAll(filter, "PIPELINE", fmt.Sprintf("pipeline-%d", r.IntN(queryPipelines)))
		page, err := e.ListRecords(ctx, query.List{Parent: place(r), Result: "-", Filter: f, OrderBy: "create_time desc"})
		if err == nil && want >= 0 && len(page.Items) > want {
			err = fmt.Errorf("%d records", len(page.Items))
		}
		return err
	}
}

// summing summarizes the PipelineRuns of a place for which a time is after an earlier one.
func summing(place func(*rand.Rand) string, after string, since time.Time, summary, group string) asked {
	filter := fmt.Sprintf(`data_type == "tekton.dev/v1.PipelineRun" && data.%s timestamp("%s")`, after,
		since.Format(time.RFC3339))
	return func(ctx context.Context, e *engine.Engine, r *rand.Rand) error {
		_, err := e.Summarize(ctx, query.Summary{
			List: query.List{Parent: place(r), Result: "-", Filter: filter}, Summary: summary, GroupBy: group,
		})
		return err
	}
}

func (b *bench) questions(all int, now time.Time) []question {
	namespace := func(r *rand.Rand) string { return fmt.Sprintf("team-%d", r.IntN(queryNamespaces)) }
	anywhere := func(*rand.Rand) string { return "-" }
	summary := func(place func(*rand.Rand) string) asked {
		return summing(place, "metadata.creationTimestamp >=", now.Add(-90*24*time.Hour), "total,succeeded,failed,"+
			"cancelled,running,others,last_runtime,avg_duration,min_duration,max_duration,total_duration", "day")
	}
	started := func(place func(*rand.Rand) string) asked {
		return summing(place, "status.startTime >", now.Add(-30*24*time.Hour),
			"total,succeeded,failed,avg_duration,last_runtime", "pipeline")
	}
	const failed = `data_type == "tekton.dev/v1.TaskRun" && data.status.conditions[0].status == "False"`
	return []question{
		{"newest runs of a namespace", 3, 10, queryTimes, listing(namespace, -1, anyRun)},
		{"newest runs of all namespaces", 3, 10, queryTimes, listing(anywhere, -1, anyRun)},
		{
			"runs of a Pipeline in a namespace, by label", 3, 10, queryTimes,
			listing(namespace, -1, `data.metadata.labels["tekton.dev/pipeline"] == "PIPELINE"`),
		},
		{
			"runs of a Pipeline in all namespaces, by label", 3, 10, queryTimes,
			listing(anywhere, -1, `data.metadata.labels["tekton.dev/pipeline"] == "PIPELINE"`),
		},
		{
			"a label that nobody has, in all namespaces", 3, 0, queryTimes,
			listing(anywhere, 0, `data.metadata.labels["tekton.dev/pipeline"] == "nobody"`),
		},
		{"failed TaskRuns of a namespace", 5, 15, queryTimes, listing(namespace, -1, failed)},
		{"failed TaskRuns of all namespaces", 5, 15, queryTimes, listing(anywhere, -1, failed)},
		{"one record by its name", 1, 3, queryTimes, func(ctx context.Context, e *engine.Engine, r *rand.Rand) error {
			run := queryRun(r.IntN(all), all, now).Commit.Run
			_, err := e.GetRecord(ctx, run.Namespace, run.Result, run.UID)
			return err
		}},
		{"newest Results of a namespace", 3, 10, queryTimes,
			func(ctx context.Context, e *engine.Engine, r *rand.Rand) error {
				_, err := e.ListResults(ctx, query.List{Parent: namespace(r), OrderBy: "create_time desc"})
				return err
			}},
		{"newest Results of all namespaces", 3, 10, queryTimes,
			func(ctx context.Context, e *engine.Engine, _ *rand.Rand) error {
				_, err := e.ListResults(ctx, query.List{Parent: "-", OrderBy: "create_time desc"})
				return err
			}},
		{"PipelineRuns a day of 90 days, a namespace", 30, 0, queryTimes / 4, summary(namespace)},
		{"PipelineRuns a day of 90 days, all namespaces", 300, 0, queryTimes / 4, summary(anywhere)},
		{"PipelineRuns by Pipeline, started in 30 days, a namespace", 0, 0, queryTimes / 4, started(namespace)},
		{"PipelineRuns by Pipeline, started in 30 days, all namespaces", 0, 0, slowTimes, started(anywhere)},
		{"a filter that no index serves, and that matches nothing, over the largest namespace", 2000, 0, slowTimes,
			func(ctx context.Context, e *engine.Engine, _ *rand.Rand) error {
				_, err := e.ListRecords(ctx,
					query.List{Parent: "team-0", Result: "-",
						Filter: `data_type == "tekton.dev/v1.TaskRun" && data.spec.serviceAccountName == "nobody"`})
				return err
			}},
	}
}

// query measures what the query API's engine asks of an index, as the index grows.
func (b *bench) query(ctx context.Context) (rows []row, err error) {
	databases := []string{"SQLite"}
	url, stop, err := b.queryPostgres(ctx)
	if err == nil {
		defer stop()
		databases = append(databases, "Postgres")
	} else {
		note("without Postgres: %v", err)
	}
	for _, name := range databases {
		database := "sqlite://" + filepath.Join(b.folder, "query.db")
		if name == "Postgres" {
			database = url
		}
		more, err := b.queryIndex(ctx, name, database)
		rows = append(rows, more...)
		if err != nil {
			return rows, err
		}
	}
	return rows, nil
}

func (b *bench) queryIndex(ctx context.Context, name, database string) (rows []row, err error) {
	x, err := index.Open(ctx, database)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, x.Close()) }()
	if err := x.SetComplete(ctx, string(indextest.Cluster), true); err != nil {
		return nil, err
	}
	now, there := time.Now().UTC().Truncate(time.Second), 0
	for _, size := range []int{10_000, 100_000, 1_000_000} {
		if size > b.runs {
			break
		}
		note("%s: %d runs", name, size)
		took, err := seedQueries(ctx, x, there, size, b.runs, now)
		if err != nil {
			return rows, err
		}
		rows = append(rows,
			atLeast(fmt.Sprintf("%s: runs put into the index, up to %d", name, size),
				float64(size-there)/took.Seconds(), 5000, "runs/s"))
		there = size
		if err := analyze(ctx, name, database); err != nil {
			return rows, err
		}
		more, err := b.ask(ctx, fmt.Sprintf("%s, %d runs: ", name, size), x, size, now)
		rows = append(rows, more...)
		if err != nil {
			return rows, err
		}
	}
	if name == "SQLite" {
		bytes, err := indexSize(filepath.Join(b.folder, "query.db"))
		if err != nil {
			return rows, err
		}
		rows = append(rows, says(name+": bytes of a run", "%.0f", float64(bytes)/float64(there)))
	}
	return rows, nil
}

// analyze does at once what a server does by itself within a minute.
func analyze(ctx context.Context, name, database string) error {
	if name != "Postgres" {
		return nil
	}
	db, err := sql.Open("pgx", database)
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, "VACUUM ANALYZE")
	return errors.Join(err, db.Close())
}

func (b *bench) ask(
	ctx context.Context, where string, x index.Index, there int, now time.Time,
) (rows []row, err error) {
	e := engine.New(engine.Options{Index: x, Cluster: string(indextest.Cluster)})
	random := rand.New(rand.NewPCG(1, uint64(there))) //nolint:gosec // the same questions each time
	// Runs are made with their times in the whole: those that are there yet are the oldest.
	for _, q := range b.questions(b.runs, now) {
		var took []time.Duration
		var before time.Duration
		for n := range q.times + 3 {
			if strings.HasPrefix(q.what, "one record") && there < b.runs {
				break // it is of all
			}
			if n == 3 {
				before = ownCPU()
			}
			began := time.Now()
			if err := q.ask(ctx, e, random); err != nil {
				return rows, fmt.Errorf("%s%s: %w", where, q.what, err)
			}
			if n >= 3 { // the first ones make statements
				took = append(took, time.Since(began))
			}
		}
		if len(took) == 0 {
			continue
		}
		p50, p99 := ms(quantile(took, 0.5)), ms(quantile(took, 0.99))
		each := ms((ownCPU() - before) / time.Duration(len(took)))
		r := says(where+q.what+", p50 / p99, CPU of this process", "%s / %s ms, %s ms", format(p50), format(p99),
			format(each))
		switch {
		case q.p99 > 0:
			r.target, r.met = fmt.Sprintf("≤ %s / %s ms", format(q.p50), format(q.p99)), p50 <= q.p50 && p99 <= q.p99
		case q.p50 > 0:
			r.target, r.met = fmt.Sprintf("≤ %s ms", format(q.p50)), p50 <= q.p50
		}
		note("%s", strings.TrimSpace(r.String()))
		rows = append(rows, r)
	}
	return rows, nil
}

// queryPostgres starts a server with its usual settings, reached by a socket.
func (b *bench) queryPostgres(ctx context.Context) (url string, stop func(), err error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		return "", nil, errors.Join(err, errors.New("no Postgres server is installed: run `make postgres`"))
	}
	bin := filepath.Dir(found[len(found)-1])
	dir, err := os.MkdirTemp(filepath.Dir(b.folder), "indelible-bench-postgres-")
	if err != nil {
		return "", nil, err
	}
	remove := func() { _ = os.RemoveAll(dir) }
	attributes := &syscall.SysProcAttr{Pdeathsig: syscall.SIGQUIT}
	if os.Geteuid() == 0 {
		if attributes.Credential, err = nobody(dir); err != nil {
			remove()
			return "", nil, err
		}
	}
	data := filepath.Join(dir, "data")
	initialize := exec.CommandContext(ctx, filepath.Join(bin, "initdb"), "-D", data, "-U", "indelible", "-A", "trust",
		"-E", "UTF8", "--locale=C.UTF-8")
	initialize.SysProcAttr, initialize.Dir = attributes, dir
	if out, err := initialize.CombinedOutput(); err != nil {
		remove()
		return "", nil, fmt.Errorf("initdb: %w: %.1000s", err, out)
	}
	server := exec.Command(filepath.Join(bin, "postgres"), "-D", data, "-k", dir, "-c", "listen_addresses=")
	server.SysProcAttr, server.Dir = attributes, dir
	if err := server.Start(); err != nil {
		remove()
		return "", nil, err
	}
	stop = func() {
		_ = server.Process.Signal(syscall.SIGQUIT)
		_ = server.Wait()
		remove()
	}
	url = "postgres:///postgres?host=" + dir + "&user=indelible"
	db, err := sql.Open("pgx", url)
	if err != nil {
		stop()
		return "", nil, err
	}
	defer db.Close()
	if err := b.until(ctx, "the server comes up",
		func() (bool, error) { return db.PingContext(ctx) == nil, nil }); err != nil {
		stop()
		return "", nil, err
	}
	return url, stop, nil
}

// nobody is whom a server runs as that refuses to run as root; the directory becomes its own.
func nobody(dir string) (*syscall.Credential, error) {
	u, err := user.Lookup("nobody")
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)},
		errors.Join(err, err2, os.Chown(dir, int(uid), int(gid)))
}

// ownCPU is what this process has spent: on a machine that others use as well it says more than the
// clock. A server's is not in it.
func ownCPU() time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
