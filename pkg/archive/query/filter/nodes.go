package filter

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/google/cel-go/common/operators"
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
	// comparison holds by the order of two values; absent is the truth value where one of them is null.
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
	// concatenation takes null for an empty text, as CONCAT does. A chain of + is one, so each text
	// is copied once.
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
	// part is a number of a time.
	part struct {
		of func(time.Time) int
		a  node
	}
)

var texts = map[string]func(text, arg string) bool{
	overloads.Contains: strings.Contains, overloads.StartsWith: strings.HasPrefix, overloads.EndsWith: strings.HasSuffix,
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

// isUnknown is also said of a truth value of which more than one is possible.
func isUnknown(value any) bool {
	t, is := value.(truth)
	return value == Unknown || is && t&(t-1) != 0
}

func equal(n int) bool { return n == 0 }

// eval is SQL's: where one of the list is null it is not known that the value is not in it.
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

func (n *arithmetic) eval(e *evaluation) any {
	a, b := e.value(n.a), e.value(n.b)
	if isUnknown(a) || isUnknown(b) {
		return Unknown
	}
	if a == nil || b == nil {
		return nil
	}
	if value := n.times(timeOf(a), timeOf(b)); value != nil {
		return value
	}
	x, ok := a.(int64)
	y, also := b.(int64)
	if ok && also {
		return n.integers(x, y)
	}
	return n.numbers(numberOf(a), numberOf(b))
}

// timeOf converts what is a time or a duration, as a text as well.
func timeOf(value any) any {
	switch v := value.(type) {
	case time.Time, time.Duration:
		return v
	case Dyn:
		if t, ok := parseTime(v.Text); ok && v.Kind == String {
			return t
		}
	}
	return nil
}

func (n *arithmetic) times(a, b any) any {
	sign := time.Duration(1)
	switch n.operator {
	case operators.Subtract:
		sign = -1
	case operators.Add:
	default:
		return nil
	}
	t, isTime := a.(time.Time)
	u, isAlso := b.(time.Time)
	d, isDuration := a.(time.Duration)
	f, both := b.(time.Duration)
	switch {
	case isTime && isAlso && sign < 0:
		return t.Sub(u)
	case isTime && both:
		return t.Add(sign * f)
	case isDuration && isAlso && sign > 0:
		return u.Add(d)
	case isDuration && both:
		return d + sign*f
	}
	return nil
}

// integers divides as SQL does; what overflows or divides by 0 is null.
func (n *arithmetic) integers(x, y int64) any {
	if f := n.numbers(float64(x), float64(y)); f == nil || math.Abs(f.(float64)) >= 1<<62 {
		return nil
	}
	switch n.operator {
	case operators.Add:
		return x + y
	case operators.Subtract:
		return x - y
	case operators.Multiply:
		return x * y
	case operators.Divide:
		return x / y
	default:
		return x % y
	}
}

func numberOf(value any) float64 {
	if d, is := value.(Dyn); is {
		if n, ok := d.number(); ok {
			return n
		}
		return math.NaN()
	}
	if n, ok := floatOf(value); ok {
		return n
	}
	return math.NaN()
}

func (n *arithmetic) numbers(x, y float64) any {
	var result float64
	switch n.operator {
	case operators.Add:
		result = x + y
	case operators.Subtract:
		result = x - y
	case operators.Multiply:
		result = x * y
	case operators.Divide:
		result = x / y
	default:
		result = math.Mod(x, y)
	}
	if math.IsNaN(result) || math.IsInf(result, 0) {
		return nil
	}
	return result
}

func (s Step) String() string {
	if s.IsIndex {
		return fmt.Sprintf("[%d]", s.Element)
	}
	return s.Field
}
