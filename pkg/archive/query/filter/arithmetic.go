package filter

import (
	"math"
	"time"

	"github.com/google/cel-go/common/operators"
)

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

// timeOf converts times, durations and texts of either.
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

// integers divides like SQL. Overflow and division by 0 are null.
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
