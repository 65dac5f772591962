package filter

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/cel-go/common/overloads"
)

type (
	constant    struct{ value any }
	conjunction struct{ a, b node }
	disjunction struct{ a, b node }
	negation    struct{ a node }
	// field is a variable, or what is below it.
	field struct {
		variable string
		path     []Step
	}
	// comparison compares two values; absent is the result if one is null.
	comparison struct {
		holds    func(n int) bool
		a, b     node
		absent   truth
		equality bool
	}
	in struct {
		a    node
		list []node
	}
	// concatenation treats null as an empty text, like CONCAT. A chain of + is one concatenation,
	// so each text is copied once.
	concatenation struct{ parts []node }
	arithmetic    struct {
		operator string
		a, b     node
	}
	textual struct {
		holds func(text, arg string) bool
		a, b  node
	}
	toTime     struct{ a node }
	toDuration struct{ a node }
	// part is a number that is part of a time.
	part struct {
		of func(time.Time) int
		a  node
	}
)

var texts = map[string]func(text, arg string) bool{
	overloads.Contains: strings.Contains, overloads.StartsWith: strings.HasPrefix,
	overloads.EndsWith: strings.HasSuffix,
}

func (n constant) eval(*evaluation) any { return n.value }

func (n *field) eval(e *evaluation) any { return e.env.Value(n.variable, n.path) }

func (n *conjunction) eval(e *evaluation) any {
	t := truthOf(e.value(n.a))
	if t == isFalse {
		return t
	}
	return t.and(truthOf(e.value(n.b)))
}

func (n *disjunction) eval(e *evaluation) any {
	t := truthOf(e.value(n.a))
	if t == isTrue {
		return t
	}
	return t.or(truthOf(e.value(n.b)))
}

func (n *negation) eval(e *evaluation) any { return truthOf(e.value(n.a)).not() }

func (n *comparison) eval(e *evaluation) any {
	absent := n.absent
	if absent == 0 {
		absent = isNull
	}
	return compare(e.value(n.a), e.value(n.b), n.holds, absent)
}

func compare(a, b any, holds func(int) bool, absent truth) truth {
	if isUnknown(a) || isUnknown(b) {
		return anything
	}
	if a == nil || b == nil {
		return absent
	}
	n, ok := order(a, b)
	if !ok {
		return isNull
	}
	return truthIf(holds(n))
}

// isUnknown is true for Unknown, and for a truth with more than one possible value.
func isUnknown(value any) bool {
	t, is := value.(truth)
	return value == Unknown || is && t&(t-1) != 0
}

func equal(n int) bool { return n == 0 }

// eval is SQL's in: with null in the list, the value may be in it.
func (n *in) eval(e *evaluation) any {
	a, found := e.value(n.a), isFalse
	for _, item := range n.list {
		if found = found.or(compare(a, e.value(item), equal, isNull)); found == isTrue {
			break
		}
	}
	return found
}

func (n *concatenation) eval(e *evaluation) any {
	var all strings.Builder
	unknown := false
	for _, part := range n.parts {
		value := e.value(part)
		if isUnknown(value) {
			unknown = true
			continue
		}
		text, _ := textOf(value)
		if all.Len()+len(text) > maxText {
			return e.fail(fmt.Errorf("%w: + makes a text of more than %d bytes: join shorter fields", ErrCost, maxText))
		}
		all.WriteString(text)
	}
	if unknown {
		return Unknown
	}
	return all.String()
}

func textOf(value any) (string, bool) {
	switch v := value.(type) {
	case string:
		return v, true
	case Dyn:
		return v.text(), true
	case int64:
		return strconv.FormatInt(v, 10), true
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64), true
	case time.Time:
		return v.Format(time.RFC3339Nano), true
	}
	return "", false
}

func (n *textual) eval(e *evaluation) any {
	a, b := e.value(n.a), e.value(n.b)
	if isUnknown(a) || isUnknown(b) {
		return anything
	}
	x, ok := textOf(a)
	y, also := textOf(b)
	if !ok || !also {
		return isNull
	}
	return truthIf(n.holds(x, y))
}

func (n *toTime) eval(e *evaluation) any {
	switch v := e.value(n.a).(type) {
	case unknown:
		return v
	case time.Time:
		return v
	case int64:
		return time.Unix(v, 0).UTC()
	case Dyn:
		if t, ok := parseTime(v.text()); ok {
			return t
		}
	case string:
		if t, ok := parseTime(v); ok {
			return t
		}
	}
	return nil
}

func (n *toDuration) eval(e *evaluation) any {
	a := e.value(n.a)
	if isUnknown(a) {
		return Unknown
	}
	if d, is := a.(time.Duration); is {
		return d
	}
	text, _ := textOf(a)
	if d, err := time.ParseDuration(text); err == nil {
		return d
	}
	return nil
}

func (n *part) eval(e *evaluation) any {
	t := e.value(&toTime{n.a})
	if at, is := t.(time.Time); is {
		return int64(n.of(at.UTC()))
	}
	return t
}

func (s Step) String() string {
	if s.IsIndex {
		return fmt.Sprintf("[%d]", s.Element)
	}
	return s.Field
}
