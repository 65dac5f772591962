package engine

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"google.golang.org/protobuf/types/known/structpb"

	"github.com/indelible-ci/indelible/pkg/archive/index"
)

// aggregations are those of Tekton Results.
var aggregations = []string{
	"total", "succeeded", "failed", "cancelled", "running", "others", "last_runtime", "avg_duration", "min_duration",
	"max_duration", "total_duration",
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

// parseSummaryOrder parses a field and a direction. Tekton Results' code and its documentation have
// them in different order; both are accepted.
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

// sums are the aggregations of a bucket's records.
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
	counts := map[string]int64{"total": s.total, "succeeded": s.succeeded, "failed": s.failed, "cancelled": s.cancelled,
		"running": s.running, "others": s.others}
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

// interval formats a duration as Postgres does.
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
