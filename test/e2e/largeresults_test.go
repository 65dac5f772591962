//go:build e2e

package e2e

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	pipelinev1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"knative.dev/pkg/apis"

	"github.com/indelible-ci/indelible/test/harness"
)

const (
	largeResults = "../../docs/large-results.md"
	routesFrom   = "<!-- routes: walked by TestLargeResultsTable -->\n"
	routesTo     = "<!-- end of routes -->\n"
)

// A routeRow is a row of the document: the largest value that passes, one above it, and what is
// said of that.
type routeRow struct {
	name          string
	passes, above int // in bytes; above is 0 where the limit of one result is the first
	says          string
}

// TestLargeResultsTable walks the table of docs/large-results.md: for each route the largest value
// that passes, and one above it, whose run must end with the words of the table in a condition and
// in an event.
func TestLargeResultsTable(t *testing.T) {
	t.Parallel()
	rows := readRoutes(t)
	for name := range routes {
		if _, ok := rows[name]; !ok {
			t.Errorf("%s has no row %q", largeResults, name)
		}
	}
	for name, row := range rows {
		route, ok := routes[name]
		if !ok {
			t.Errorf("the row %q of %s has no flow", name, largeResults)
			continue
		}
		t.Run(name+": the largest passes", func(t *testing.T) {
			t.Parallel()
			isTaken(newLongPlace(t, 2*bound), route, row.passes)
		})
		if row.above == 0 {
			if row.passes != 1<<20 {
				t.Errorf("the row %q says nothing of what is above %d bytes", name, row.passes)
			}
			continue
		}
		t.Run(name+": above it is said why not", func(t *testing.T) {
			t.Parallel()
			endsSaying(newLongPlace(t, 2*bound), route, row)
		})
	}
}

// readRoutes reads the rows of the document.
func readRoutes(t *testing.T) map[string]routeRow {
	t.Helper()
	raw, err := os.ReadFile(largeResults)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(raw), routesFrom)
	table, _, ended := strings.Cut(rest, routesTo)
	if !found || !ended {
		t.Fatalf("%s has no lines %q and %q", largeResults, routesFrom, routesTo)
	}
	rows := make(map[string]routeRow)
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) != 5 || !regexp.MustCompile(`\d`).MatchString(cells[1]) {
			continue // the head
		}
		row := routeRow{name: strings.TrimSpace(cells[0]), passes: bytesOf(t, cells[1]), above: bytesOf(t, cells[2])}
		row.says = strings.Trim(strings.TrimSpace(cells[3]), "`")
		if _, twice := rows[row.name]; twice {
			t.Errorf("%s has two rows %q", largeResults, row.name)
		}
		rows[row.name] = row
	}
	return rows
}

// bytesOf reads a number such as 1,048,576; a dash is 0.
func bytesOf(t *testing.T, cell string) int {
	t.Helper()
	digits := strings.ReplaceAll(strings.TrimSpace(cell), ",", "")
	if digits == "–" {
		return 0
	}
	n, err := strconv.Atoi(digits)
	if err != nil {
		t.Fatalf("%q is no number of bytes", cell)
	}
	return n
}

// isTaken passes a value along a route and checks, if a Task reports what it has seen, that it is
// the value.
func isTaken(p *place, r route, n int) {
	p.create(r.yaml(n))
	succeeded(p.t, r.run, r.condition(p))
	if r.consumer != "" {
		wantResults(p.t, p.taskRun(r.consumer).Status.Results,
			map[string]*pipelinev1.ResultValue{"seen": text(seen(sample(n)))})
	}
}

// endsSaying passes a value along a route that is too narrow for it. The message must not contain
// the value.
func endsSaying(p *place, r route, row routeRow) {
	t := p.t
	if r.refused {
		err := p.tryToCreate(r.yaml(row.above))
		if err == nil || !strings.Contains(err.Error(), row.says) {
			t.Errorf("created with %v, want an error with %q", err, row.says)
		}
		return
	}
	p.create(r.yaml(row.above))
	condition := r.condition(p)
	if !condition.IsFalse() {
		t.Errorf("%s: condition Succeeded is %s, want False", r.run, condition.Status)
	}
	name := r.run
	if r.says != "" {
		name = r.says
		condition = p.taskRun(name).Status.GetCondition(apis.ConditionSucceeded)
	}
	if !strings.Contains(condition.Message, row.says) {
		t.Errorf("%s: condition %s: %q does not contain %q", name, condition.Reason, condition.Message, row.says)
	}
	described := strings.Join(strings.Fields(p.kubectl("get", "events", "-n", p.namespace,
		"--field-selector=type=Warning,involvedObject.name="+name, "-o", "jsonpath={.items[*].message}")), " ")
	if !strings.Contains(described, row.says) {
		t.Errorf("%s: no event says %q: %s", name, row.says, described)
	}
	if said := described + condition.Message; strings.Contains(said, sample(20)) {
		t.Errorf("%s: a value is shown: %.300q", name, said)
	}
}

// tryToCreate is create for objects that must be refused.
func (p *place) tryToCreate(yaml string) error {
	p.t.Helper()
	return cluster.Create(p.ctx, p.namespace, harness.WithImage(yaml))
}

// condition waits until the route's run has ended.
func (r route) condition(p *place) *apis.Condition {
	if r.isTaskRun {
		return p.taskRun(r.run).Status.GetCondition(apis.ConditionSucceeded)
	}
	return p.pipelineRun(r.run).Status.GetCondition(apis.ConditionSucceeded)
}
