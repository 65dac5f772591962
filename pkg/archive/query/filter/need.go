package filter

import (
	"slices"
	"strings"
	"time"
)

// Need is a necessary condition of a filter: a field has one of some texts. An index can look these
// up. What it finds must still be filtered, and no field becomes part of a statement.
type Need struct {
	Variable string
	Path     []Step
	Values   []string
}

// Key identifies the field, as Key does.
func (n *Need) Key() string { return keyOf(n.Variable, n.Path) }

func keyOf(variable string, path []Step) string {
	var key strings.Builder
	key.WriteString(variable)
	for _, step := range path {
		key.WriteByte('\x00')
		key.WriteString(step.String())
	}
	return key.String()
}

// maxValues bounds the values to look up one by one.
const maxValues = 100

// Needs returns necessary conditions, all of which must hold.
func (f *Filter) Needs() []Need {
	needs := needsOf(f.root)
	return slices.DeleteFunc(needs, func(n Need) bool { return len(n.Values) > maxValues })
}

func needsOf(n node) []Need {
	switch n := n.(type) {
	case *conjunction:
		return append(needsOf(n.a), needsOf(n.b)...)
	case *disjunction:
		return either(needsOf(n.a), needsOf(n.b))
	case *comparison:
		if !n.equality {
			return nil
		}
		if need := needOf(n.a, n.b); need != nil {
			return need
		}
		return needOf(n.b, n.a)
	case *in:
		return needOf(n.a, n.list...)
	}
	return nil
}

// either returns the necessary conditions of a disjunction.
func either(a, b []Need) (both []Need) {
	for _, x := range a {
		for _, y := range b {
			if x.Key() == y.Key() {
				values := slices.Concat(x.Values, y.Values)
				slices.Sort(values)
				both = append(both, Need{x.Variable, x.Path, slices.Compact(values)})
				break
			}
		}
	}
	return both
}

func needOf(of node, values ...node) []Need {
	f, is := of.(*field)
	if !is {
		return nil
	}
	need := Need{Variable: f.variable, Path: f.path}
	for _, v := range values {
		c, is := v.(constant)
		if !is {
			return nil
		}
		text, is := c.value.(string)
		if !is {
			if c.value == nil {
				continue // nothing is equal to null
			}
			return nil
		}
		need.Values = append(need.Values, text)
	}
	slices.Sort(need.Values)
	need.Values = slices.Compact(need.Values)
	return []Need{need}
}

// Between returns the bounds, both included, of a time in all that the filter matches; zero if
// there is none.
func (f *Filter) Between(variable string, path ...Step) (from, to time.Time) {
	bound(f.root, keyOf(variable, path), &from, &to)
	return from, to
}

// bound collects bounds from what must hold, so none from alternatives.
func bound(n node, key string, from, to *time.Time) {
	switch n := n.(type) {
	case *conjunction:
		bound(n.a, key, from, to)
		bound(n.b, key, from, to)
	case *comparison:
		at, above, below := n.limit(key)
		if above && at.After(*from) {
			*from = at
		}
		if below && (to.IsZero() || at.Before(*to)) {
			*to = at
		}
	}
}

// limit says whether the comparison bounds the field from below (above is true: it must be at or
// above), from above, and by what.
func (n *comparison) limit(key string) (at time.Time, above, below bool) {
	side := 1
	f, isField := n.a.(*field)
	c, isConstant := n.b.(constant)
	if !isField || !isConstant {
		side = -1
		f, isField = n.b.(*field)
		c, isConstant = n.a.(constant)
	}
	if !isField || !isConstant || keyOf(f.variable, f.path) != key {
		return at, false, false
	}
	at, is := c.value.(time.Time)
	if !is || n.holds(1) && n.holds(-1) {
		return at, false, false
	}
	return at, !n.holds(-side), !n.holds(side)
}
