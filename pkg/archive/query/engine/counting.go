package engine

import (
	"context"
	"fmt"
	"math"

	"github.com/indelible-ci/indelible/pkg/archive/index"
	"github.com/indelible-ci/indelible/pkg/archive/query"
	"github.com/indelible-ci/indelible/pkg/archive/query/filter"
)

// Keys of filters for the times that rows have in columns.
var (
	createTime   = filter.Key("create_time")
	creationTime = filter.Key("data", "metadata", "creationTimestamp")
	startTime    = filter.Key("data", "status", "startTime")
	endTime      = filter.Key("data", "status", "completionTime")
)

// sum counts by columns if these decide the filter, else by records.
func (s *summing) sum(ctx context.Context, q *query.List) error {
	if len(s.groups) == 0 {
		return nil
	}
	plans, exact, err := s.plans(q)
	if err != nil {
		return err
	}
	if !exact {
		return s.look(ctx, q)
	}
	for _, p := range plans {
		if err := s.run(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// plan counts groups that have the same conditions.
type plan struct {
	scan    index.CountScan
	classes []class
}

// plans returns what to count; exact is false if columns do not decide the filter.
func (s *summing) plans(q *query.List) (plans []*plan, exact bool, err error) {
	if q.Result != "" && q.Result != "-" {
		return nil, false, nil
	}
	byKey := map[string]*plan{}
	for _, w := range s.groups {
		if w.group.Odd {
			return nil, false, nil
		}
		for _, c := range w.classes {
			scan, exact, err := s.columns(w.group, c)
			if err != nil || !exact {
				return nil, false, err
			}
			key := fmt.Sprint(c, scan.Tool, ends(scan.Created), ends(scan.Started), ends(scan.Completed))
			if byKey[key] == nil {
				byKey[key] = &plan{scan: scan, classes: []class{c}}
				plans = append(plans, byKey[key])
			}
			byKey[key].scan.Groups = append(byKey[key].scan.Groups, w.group.ID)
		}
	}
	return plans, true, nil
}

func ends(r *[2]int64) string {
	if r == nil {
		return ""
	}
	return fmt.Sprint(*r)
}

// columns returns how to count the records of a class; exact is false if columns do not decide the
// filter. Logs and events do not have a run's times.
func (s *summing) columns(g *index.Group, c class) (scan index.CountScan, exact bool, err error) {
	fields := []string{createTime}
	switch {
	case c == ofRun && !g.Tool:
		fields = append(fields, creationTime, startTime, endTime)
	case c == ofRun:
		fields = []string{startTime, endTime} // its data may have another creation time
	}
	if g.Tool && (s.grouping.name != "" && s.grouping.by != index.ByStarted && s.grouping.by != index.ByCompleted) {
		return scan, false, nil
	}
	ranges, exact, err := s.filter.Ranges(&recordEnv{group: g, class: c}, fields...)
	scan = index.CountScan{Tool: g.Tool, By: s.grouping.by, Span: s.grouping.span}
	for field, r := range ranges {
		to := map[string]**[2]int64{createTime: &scan.Created, creationTime: &scan.Created, startTime: &scan.Started,
			endTime: &scan.Completed}[field]
		if *to == nil {
			*to = &[2]int64{r.From, r.To}
		} else {
			**to = [2]int64{max((*to)[0], r.From), min((*to)[1], r.To)}
		}
	}
	return scan, exact, err
}

// run counts from rollups, except the parts of spans at both ends, which it counts from rows.
func (s *summing) run(ctx context.Context, p *plan) error {
	scan := p.scan
	byCreation := scan.By == index.ByNothing || scan.By == index.ByCreated && scan.Span >= hour || p.classes[0] != ofRun
	if !byCreation || scan.Started != nil || scan.Completed != nil {
		return s.count(ctx, p, scan)
	}
	if scan.Span = max(scan.Span, hour); scan.By != index.ByCreated {
		scan.Span = day
	}
	scan.Rollups = true
	if scan.Created == nil {
		return s.count(ctx, p, scan)
	}
	from, to := scan.Created[0], scan.Created[1]
	first, last := up(from, scan.Span), down(to, scan.Span) // whole spans are from first to before last
	if from > to {
		return nil
	}
	if first >= last {
		return s.count(ctx, p, p.scan)
	}
	scan.Created = &[2]int64{first, last - 1}
	if err := s.count(ctx, p, scan); err != nil {
		return err
	}
	for _, edge := range [][2]int64{{from, first - 1}, {last, to}} {
		rows := p.scan
		if rows.Created = &edge; edge[0] <= edge[1] {
			if err := s.count(ctx, p, rows); err != nil {
				return err
			}
		}
	}
	return nil
}

// up and down round to spans, without overflow at the ends of time.
func up(at, span int64) int64 {
	if at < 0 {
		return 0
	}
	return (at + span - 1) / span * span
}

func down(at, span int64) int64 {
	if at > math.MaxInt64-span {
		return math.MaxInt64 - span
	}
	return (at + 1) / span * span
}

func (s *summing) count(ctx context.Context, p *plan, scan index.CountScan) error {
	counts, err := s.Counts(ctx, scan)
	if err != nil {
		return err
	}
	for i := range counts {
		for _, c := range p.classes {
			s.note(&counts[i], c)
		}
	}
	return nil
}

// note adds a count of a class to its bucket.
func (s *summing) note(c *index.Count, of class) {
	g := s.groups[c.Group].group
	n := map[class]int64{ofRun: c.Runs, ofLog: c.Logs, ofEvents: c.Events}[of]
	if n == 0 {
		return
	}
	b := s.sumsOf(s.bucketOf(g, c, of))
	b.total += n
	if of == ofRun {
		b.reason(g.Reason, n)
		b.add(c)
	}
}

func (s *summing) bucketOf(g *index.Group, c *index.Count, of class) bucket {
	namespace := g.Namespace
	if of == ofEvents {
		namespace = ""
	}
	switch s.grouping.name {
	case "":
		return bucket{null: true}
	case "namespace":
		return bucket{null: namespace == "", name: namespace}
	case "pipeline", "repository":
		name := c.Name.String
		if of != ofRun {
			name = ""
		}
		return bucket{name: namespace + "/" + name}
	}
	if of != ofRun || !c.At.Valid {
		return bucket{null: true}
	}
	return bucket{at: s.grouping.begin(c.At.Int64)}
}
