package filter

import (
	"context"
	"math"
	"time"
)

// Range is in whole seconds since 1970, both ends included. It is empty if From is after To.
type Range struct{ From, To int64 }

// Whole is the range of all seconds.
var Whole = Range{math.MinInt64, math.MaxInt64}

// Ranges returns ranges of times. If exact is set, the filter matches exactly what has the known
// values, and times in these ranges, in fields with whole seconds. fields are their keys (Key).
func (f *Filter) Ranges(env Env, fields ...string) (ranges map[string]Range, exact bool, err error) {
	ranges = map[string]Range{}
	if f.root == nil {
		return ranges, true, nil
	}
	e := evaluation{ctx: context.Background(), env: env} // only of a group, which has no data: quickly done
	exact = rangesOf(f.root, &e, fields, ranges)
	return ranges, exact, e.err
}

// Key returns the key of a field of a variable.
func Key(variable string, path ...string) string {
	steps := make([]Step, len(path))
	for i, field := range path {
		steps[i].Field = field
	}
	return keyOf(variable, steps)
}

func rangesOf(n node, e *evaluation, fields []string, ranges map[string]Range) bool {
	if truthOf(n.eval(e)) == isTrue {
		return true
	}
	switch n := n.(type) {
	case *conjunction:
		return rangesOf(n.a, e, fields, ranges) && rangesOf(n.b, e, fields, ranges)
	case *comparison:
		for _, field := range fields {
			at, above, below := n.limit(field)
			if !above && !below {
				continue
			}
			r, ok := ranges[field]
			if !ok {
				r = Whole
			}
			floor := at.Unix()
			whole := at.Equal(time.Unix(floor, 0))
			if above {
				from := floor
				if !whole || !n.holds(0) {
					from++
				}
				r.From = max(r.From, from)
			}
			if below {
				to := floor
				if whole && !n.holds(0) {
					to--
				}
				r.To = min(r.To, to)
			}
			ranges[field] = r
			return true
		}
	}
	return false
}
