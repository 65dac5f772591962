package engine

import (
	"strings"
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/index"
)

const minute, hour, day = 60, 60 * 60, 24 * 60 * 60

// grouping is what a summary is grouped by.
type grouping struct {
	name string
	// by is the time that units of time group by.
	by   index.CountBy
	span int64
}

// units are the spans to count by. Longer units are composed of them.
var units = map[string]int64{"minute": minute, "hour": hour, "day": day, "week": day, "month": day, "year": day}

// groupings lists the valid values, for error messages.
const groupings = "namespace, pipeline, repository, or minute, hour, day, week, month or year, each also " +
	"of startTime or completionTime"

func parseGrouping(text string) (g grouping, err error) {
	parts := strings.Split(strings.TrimSpace(text), " ")
	g.name = parts[0]
	span, isTime := units[g.name]
	named := map[string]index.CountBy{"": index.ByNothing, "namespace": index.ByNothing, "pipeline": index.ByPipeline,
		"repository": index.ByRepository}
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

// begin returns the beginning of the unit that contains a time.
func (g *grouping) begin(at int64) int64 {
	t := time.Unix(at, 0).UTC()
	switch g.name {
	case "week": // weeks begin on Monday
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
