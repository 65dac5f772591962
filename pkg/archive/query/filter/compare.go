package filter

import (
	"cmp"
	"strings"
	"time"
)

// order compares two values; ok is false if one is null, or they are not comparable.
func order(a, b any) (n int, ok bool) {
	if d, is := a.(Dyn); is {
		if e, is := b.(Dyn); is {
			return orderDyns(d, e)
		}
		a, ok = d.like(b)
	} else if d, is := b.(Dyn); is {
		b, ok = d.like(a)
	} else {
		ok = true
	}
	if !ok {
		return 0, false
	}
	return orderTyped(a, b)
}

func orderDyns(a, b Dyn) (int, bool) {
	if x, ok := a.number(); ok {
		if y, ok := b.number(); ok {
			return cmp.Compare(x, y), true
		}
	}
	return strings.Compare(a.text(), b.text()), true
}

// like converts a JSON value to the type of another value.
func (d Dyn) like(other any) (any, bool) {
	switch other.(type) {
	case string:
		return d.text(), true
	case int64, uint64, float64:
		n, ok := d.number()
		return n, ok
	case bool, truth:
		t := truthOf(d)
		return t == isTrue, t != isNull
	case time.Time:
		return parseTimeAny(d)
	case time.Duration:
		t, err := time.ParseDuration(d.text())
		return t, err == nil
	}
	return nil, false
}

func parseTimeAny(d Dyn) (any, bool) {
	t, ok := parseTime(d.text())
	return t, ok
}

func orderTyped(a, b any) (int, bool) {
	switch x := a.(type) {
	case string:
		if y, ok := b.(string); ok {
			return strings.Compare(x, y), true
		}
	case time.Time:
		if y, ok := b.(time.Time); ok {
			return x.Compare(y), true
		}
	case time.Duration:
		if y, ok := b.(time.Duration); ok {
			return cmp.Compare(x, y), true
		}
	case int64:
		if y, ok := b.(int64); ok { // exactly
			return cmp.Compare(x, y), true
		}
	}
	if x, ok := boolOf(a); ok {
		y, ok := boolOf(b)
		return x - y, ok
	}
	x, ok := floatOf(a)
	y, also := floatOf(b)
	return cmp.Compare(x, y), ok && also
}

func boolOf(value any) (int, bool) {
	switch v := value.(type) {
	case bool:
		if v {
			return 1, true
		}
		return 0, true
	case truth:
		return int(v & isTrue), v == isTrue || v == isFalse
	}
	return 0, false
}

func floatOf(value any) (float64, bool) {
	switch v := value.(type) {
	case int64:
		return float64(v), true
	case uint64:
		return float64(v), true
	case float64:
		return v, true
	}
	return 0, false
}
