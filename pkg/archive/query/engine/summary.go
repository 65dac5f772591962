package engine

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	pb "github.com/tektoncd/results/proto/v1alpha2/results_go_proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/indelible-ci/indelible/pkg/archive/index"
	"github.com/indelible-ci/indelible/pkg/archive/query"
	"github.com/indelible-ci/indelible/pkg/archive/query/filter"
)

const minute, hour, day = 60, 60 * 60, 24 * 60 * 60

// grouping is what a summary's rows are of.
type grouping struct {
	name string
	// by is the time that is truncated, for units of time.
	by   index.CountBy
	span int64
}

// units are spans that are counted, and that the group's are made of.
var units = map[string]int64{"minute": minute, "hour": hour, "day": day, "week": day, "month": day, "year": day}

// groupings is what a caller hears who has asked for another.
const groupings = "namespace, pipeline, repository, or minute, hour, day, week, month or year, each also of startTime " +
	"or completionTime"

func parseGrouping(text string) (g grouping, err error) {
	parts := strings.Split(strings.TrimSpace(text), " ")
	g.name = parts[0]
	span, isTime := units[g.name]
	named := map[string]index.CountBy{"": index.ByNothing, "namespace": index.ByNothing, "pipeline": index.ByPipeline, "repository": index.ByRepository}
	by, isName := named[g.name]
	switch {
	case isName && len(parts) == 1:
		g.by = by
		return g, nil
	case isTime && len(parts) == 1:
		g.by = index.ByCreated
	case isTime && len(parts) == 2 && parts[1] == "startTime":
		g.by = index.ByStarted
	case isTime && len(parts) == 2 && parts[1] == "completionTime":
		g.by = index.ByCompleted
	default:
		return g, invalid("group_by does not recognize %s: it is %s", text, groupings)
	}
	g.span = span
	return g, nil
}

// begin returns when the unit began that a time is in.
func (g *grouping) begin(at int64) int64 {
	t := time.Unix(at, 0).UTC()
	switch g.name {
	case "week": // of Monday
		return time.Date(t.Year(), t.Month(), t.Day()-(int(t.Weekday())+6)%7, 0, 0, 0, 0, time.UTC).Unix()
	case "month":
		return time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC).Unix()
	case "year":
		return time.Date(t.Year(), 1, 1, 0, 0, 0, 0, time.UTC).Unix()
	}
	rest := at % g.span
	if rest < 0 {
		rest += g.span
	}
	return at - rest
}

// aggregations are those of Tekton Results, with what they count.
var aggregations = []string{
	"total", "succeeded", "failed", "cancelled", "running", "others", "last_runtime", "avg_duration", "min_duration", "max_duration", "total_duration",
}

func parseAggregations(text string) ([]string, error) {
	if strings.TrimSpace(text) == "" {
		return []string{"total"}, nil
	}
	all := strings.Split(strings.TrimSpace(text), ",")
	for _, name := range all {
		if !slices.Contains(aggregations, name) {
			return nil, invalid("invalid aggregate query: %s: it is any of %s", name, strings.Join(aggregations, ", "))
		}
	}
	return all, nil
}

// parseSummaryOrder takes a field and a direction, in the order of Tekton Results' code or of its documents.
func parseSummaryOrder(text string, fields []string) (order, error) {
	parts := strings.Split(strings.TrimSpace(text), " ")
	if len(parts) == 2 && isDirection(parts[0]) {
		parts[0], parts[1] = parts[1], parts[0]
	}
	if len(parts) != 2 || !isDirection(parts[1]) {
		return order{}, invalid("order_by does not recognize %s", text)
	}
	if !slices.Contains(fields, parts[0]) {
		return order{}, invalid("field name %s is not allowed, must be one of summary", parts[0])
	}
	return order{parts[0], strings.EqualFold(parts[1], "desc")}, nil
}

func isDirection(text string) bool {
	return slices.Contains([]string{"asc", "ASC", "desc", "DESC"}, text)
}

// bucket is a group of a summary: a time, a name, or null.
type bucket struct {
	null bool
	at   int64
	name string
}

func (b bucket) value() *structpb.Value {
	switch {
	case b.null:
		return structpb.NewNullValue()
	case b.name != "":
		return structpb.NewStringValue(b.name)
	}
	return structpb.NewNumberValue(float64(b.at))
}

// sums are what is known of the records of a bucket.
type sums struct {
	total, succeeded, failed, cancelled, running, others int64
	timed, days, seconds                                 int64
	shortest, longest, started                           *int64
}

func (s *sums) reason(reason *string, n int64) {
	if reason == nil {
		return
	}
	switch *reason {
	case "Succeeded", "Completed":
		s.succeeded += n
	case "Failed":
		s.failed += n
	case "Cancelled":
		s.cancelled += n
	case "Running":
		s.running += n
	default:
		s.others += n
	}
}

func (s *sums) add(c *index.Count) {
	s.timed, s.days, s.seconds = s.timed+c.Timed, s.days+c.Days, s.seconds+c.Seconds
	if c.Shortest.Valid && (s.shortest == nil || c.Shortest.Int64 < *s.shortest) {
		s.shortest = &c.Shortest.Int64
	}
	if c.Longest.Valid && (s.longest == nil || c.Longest.Int64 > *s.longest) {
		s.longest = &c.Longest.Int64
	}
	if c.LastStarted.Valid && (s.started == nil || c.LastStarted.Int64 > *s.started) {
		s.started = &c.LastStarted.Int64
	}
}

// field returns an aggregation, and a number to sort by.
func (s *sums) field(name string) (*structpb.Value, float64) {
	counts := map[string]int64{"total": s.total, "succeeded": s.succeeded, "failed": s.failed, "cancelled": s.cancelled, "running": s.running, "others": s.others}
	if n, ok := counts[name]; ok {
		return structpb.NewNumberValue(float64(n)), float64(n)
	}
	switch {
	case name == "last_runtime" && s.started != nil:
		return structpb.NewNumberValue(float64(*s.started)), float64(*s.started)
	case name == "min_duration" && s.shortest != nil:
		return interval(*s.shortest/day, *s.shortest%day*1e6)
	case name == "max_duration" && s.longest != nil:
		return interval(*s.longest/day, *s.longest%day*1e6)
	case name == "total_duration" && s.timed > 0:
		return interval(s.days, s.seconds*1e6)
	case name == "avg_duration" && s.timed > 0:
		rest := float64(s.days%s.timed)*day + float64(s.seconds)
		return interval(s.days/s.timed, int64(math.Round(rest*1e6/float64(s.timed))))
	}
	return structpb.NewNullValue(), math.Inf(1) // as Postgres sorts nulls
}

// interval writes a duration as Postgres does.
func interval(days, micros int64) (*structpb.Value, float64) {
	sign, rest := "", micros
	if rest < 0 {
		sign, rest = "-", -rest
	}
	seconds := rest / 1e6
	text := fmt.Sprintf("%s%02d:%02d:%02d", sign, seconds/3600, seconds/60%60, seconds%60)
	if fraction := rest % 1e6; fraction != 0 {
		text += strings.TrimRight(fmt.Sprintf(".%06d", fraction), "0")
	}
	if days != 0 {
		unit := "days"
		if days == 1 {
			unit = "day"
		}
		if micros == 0 {
			text = fmt.Sprintf("%d %s", days, unit)
		} else {
			text = fmt.Sprintf("%d %s %s", days, unit, text)
		}
	}
	return structpb.NewStringValue(text), float64(days)*day*1e6 + float64(micros)
}

// summing is a summary that is being made.
type summing struct {
	*listing
	grouping grouping
	buckets  map[bucket]*sums
}

// Summarize implements query.Engine.
func (e *Engine) Summarize(ctx context.Context, q query.Summary) (*pb.RecordListSummary, error) {
	fields, err := parseAggregations(q.Summary)
	if err != nil {
		return nil, err
	}
	s := &summing{listing: &listing{kind: "summary", order: defaultOrder}, buckets: map[bucket]*sums{}}
	if s.grouping, err = parseGrouping(q.GroupBy); err != nil {
		return nil, err
	}
	var by *order
	if strings.TrimSpace(q.OrderBy) != "" && s.grouping.name != "" {
		o, err := parseSummaryOrder(q.OrderBy, fields)
		if err != nil {
			return nil, err
		}
		by = &o
	}
	if s.filter, err = parse(filter.Records, q.Filter); err != nil {
		return nil, err
	}
	if s.reading, err = e.begin(ctx); err != nil {
		return nil, err
	}
	if err := s.choose(ctx, &q.List); err != nil {
		return nil, err
	}
	if err := s.sum(ctx, &q.List); err != nil {
		return nil, unavailable(err)
	}
	return s.answer(fields, by), s.finish(ctx)
}

func (s *summing) answer(fields []string, by *order) *pb.RecordListSummary {
	if s.grouping.name == "" && len(s.buckets) == 0 {
		s.sumsOf(bucket{null: true})
	}
	keys := make([]bucket, 0, len(s.buckets))
	for key := range s.buckets {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b bucket) int {
		n := 0
		if by != nil {
			_, x := s.buckets[a].field(by.Field)
			_, y := s.buckets[b].field(by.Field)
			if n = cmp.Compare(x, y); by.Descending {
				n = -n
			}
		}
		return cmp.Or(n, truthOrder(a.null, b.null), cmp.Compare(a.at, b.at), strings.Compare(a.name, b.name))
	})
	summary := &pb.RecordListSummary{}
	for _, key := range keys {
		row := map[string]*structpb.Value{}
		for _, name := range fields {
			row[name], _ = s.buckets[key].field(name)
		}
		if s.grouping.name != "" {
			row["group_value"] = key.value()
		}
		summary.Summary = append(summary.Summary, &structpb.Struct{Fields: row})
	}
	return summary
}

func truthOrder(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

func (s *summing) sumsOf(b bucket) *sums {
	if s.buckets[b] == nil {
		s.buckets[b] = &sums{}
	}
	return s.buckets[b]
}

// The times that rows have in columns, by the keys of filters.
var (
	createTime   = filter.Key("create_time")
	creationTime = filter.Key("data", "metadata", "creationTimestamp")
	startTime    = filter.Key("data", "status", "startTime")
	endTime      = filter.Key("data", "status", "completionTime")
)

// sum counts by what is in columns if the filter is about nothing else, and else by records.
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

// plan is what groups have in common of which the same is counted.
type plan struct {
	scan    index.CountScan
	classes []class
}

// plans says what to count, if columns tell it.
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

// columns says how the records of a class are counted, if columns tell it. Records of logs and events have no times of runs.
func (s *summing) columns(g *index.Group, c class) (scan index.CountScan, exact bool, err error) {
	fields := []string{createTime}
	switch {
	case c == ofRun && !g.Tool:
		fields = append(fields, creationTime, startTime, endTime)
	case c == ofRun:
		fields = []string{startTime, endTime} // when it was created is not what its data says
	}
	if g.Tool && (s.grouping.name != "" && s.grouping.by != index.ByStarted && s.grouping.by != index.ByCompleted) {
		return scan, false, nil
	}
	ranges, exact, err := s.filter.Ranges(&recordEnv{group: g, class: c}, fields...)
	scan = index.CountScan{Tool: g.Tool, By: s.grouping.by, Span: s.grouping.span}
	for field, r := range ranges {
		to := map[string]**[2]int64{createTime: &scan.Created, creationTime: &scan.Created, startTime: &scan.Started, endTime: &scan.Completed}[field]
		if *to == nil {
			*to = &[2]int64{r.From, r.To}
		} else {
			**to = [2]int64{max((*to)[0], r.From), min((*to)[1], r.To)}
		}
	}
	return scan, exact, err
}

// run counts from rollups what they have, and the rest of the first and the last day from rows.
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

// up and down round to spans; the ends of time stay.
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

// note adds what was counted of a class to its bucket.
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

// look goes through all records that the filter matches.
func (s *summing) look(ctx context.Context, q *query.List) error {
	m := s.merge(s.sources(q))
	for {
		items, err := s.next(ctx, m, 512)
		if err != nil || len(items) == 0 {
			return err
		}
		add := func(i *item) bool {
			s.observe(i.data)
			i.data = nil
			return true
		}
		if err := s.compare(ctx, items, add); err != nil {
			return err
		}
	}
}

// observe adds a record by what its data says.
func (s *summing) observe(data []byte) {
	c := index.Count{}
	field := func(path ...filter.Step) any { return filter.Lookup(data, path) }
	name := func(text string) filter.Step { return filter.Step{Field: text} }
	started, hasStarted := unixOf(field(name("status"), name("startTime")))
	ended, hasEnded := unixOf(field(name("status"), name("completionTime")))
	created, hasCreated := unixOf(field(name("metadata"), name("creationTimestamp")))
	var b bucket
	switch s.grouping.name {
	case "":
		b.null = true
	case "namespace":
		b.name, b.null = stringOf(field(name("metadata"), name("namespace")))
	case "pipeline", "repository":
		namespace, _ := stringOf(field(name("metadata"), name("namespace")))
		key := []filter.Step{name("metadata"), name("labels"), name("tekton.dev/pipeline")}
		if s.grouping.name == "repository" {
			key = []filter.Step{name("metadata"), name("annotations"), name("pipelinesascode.tekton.dev/repository")}
		}
		text, _ := stringOf(field(key...))
		b.name = namespace + "/" + text
	default:
		at, ok := created, hasCreated
		switch s.grouping.by {
		case index.ByStarted:
			at, ok = started, hasStarted
		case index.ByCompleted:
			at, ok = ended, hasEnded
		}
		if b.null = !ok; ok {
			b.at = s.grouping.begin(at)
		}
	}
	to := s.sumsOf(b)
	to.total++
	if reason, absent := stringOf(field(name("status"), name("conditions"), filter.Step{IsIndex: true}, name("reason"))); !absent {
		to.reason(&reason, 1)
	}
	if hasStarted {
		c.LastStarted.Int64, c.LastStarted.Valid = started, true
	}
	if hasStarted && hasEnded {
		took := ended - started
		c.Timed, c.Days, c.Seconds = 1, took/day, took%day
		c.Shortest.Int64, c.Shortest.Valid = took, true
		c.Longest = c.Shortest
	}
	to.add(&c)
}

func stringOf(value any) (text string, absent bool) {
	d, ok := value.(filter.Dyn)
	return d.Text, !ok
}

func unixOf(value any) (int64, bool) {
	d, ok := value.(filter.Dyn)
	if !ok || d.Kind != filter.String {
		return 0, false
	}
	t, err := time.Parse(time.RFC3339Nano, d.Text)
	return t.Unix(), err == nil
}
