package config

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/indelible-ci/indelible/pkg/result"
)

// reader takes values out of a decoded file and collects every problem. A missing or null value
// keeps the default.
type reader struct{ problems []error }

func (r *reader) problem(path, format string, args ...any) {
	if path == "" {
		path = "the file"
	}
	r.problems = append(r.problems, fmt.Errorf("%s %s", path, fmt.Sprintf(format, args...)))
}

// object returns the fields of v and reports unknown ones.
func (r *reader) object(path string, v any, allowed ...string) map[string]any {
	if v == nil {
		return nil
	}
	fields, ok := v.(map[string]any)
	if !ok {
		r.problem(path, "must be an object with the fields %s", strings.Join(allowed, ", "))
		return nil
	}
	var unknown []string
	for name := range fields {
		if !slices.Contains(allowed, name) {
			unknown = append(unknown, name)
		}
	}
	slices.Sort(unknown)
	for _, name := range unknown {
		full := name
		if path != "" {
			full = path + "." + name
		}
		r.problem(full, "is not a field; allowed are %s", strings.Join(allowed, ", "))
	}
	return fields
}

// constant requires a fixed value.
func (r *reader) constant(path string, v any, want string) {
	if v != want {
		r.problem(path, "must be %s", want)
	}
}

// text reads a string without white space, which neither user names nor image references contain.
func (r *reader) text(to *string, path string, v any) {
	if v == nil {
		return
	}
	s, ok := v.(string)
	switch {
	case !ok:
		r.problem(path, "must be a string")
	case s == "":
		r.problem(path, "must not be empty")
	case strings.ContainsFunc(s, unicode.IsSpace):
		r.problem(path, "must not contain white space")
	default:
		*to = s
	}
}

// oneOf reads one of some strings.
func (r *reader) oneOf(to *string, path string, v any, allowed ...string) {
	if v == nil {
		return
	}
	if s, ok := v.(string); ok && slices.Contains(allowed, s) {
		*to = s
		return
	}
	r.problem(path, "must be one of %s", strings.Join(allowed, ", "))
}

// bytes reads a Kubernetes quantity such as 1Mi or 1048576.
func (r *reader) bytes(to *int64, path string, v any) {
	var s string
	switch v := v.(type) {
	case nil:
		return
	case string:
		s = v
	case json.Number:
		s = v.String()
	}
	size, err := result.ParseSize(s)
	if err != nil {
		r.problem(path, "%v", err)
		return
	}
	*to = int64(size)
}

// whole reads a whole number from least to most.
func (r *reader) whole(to *int, path string, v any, least, most int) {
	if v == nil {
		return
	}
	number, ok := v.(json.Number)
	n, err := strconv.Atoi(number.String())
	if !ok || err != nil || n < least || n > most {
		r.problem(path, "must be a whole number from %d to %d", least, most)
		return
	}
	*to = n
}

// list returns the items of v; nil if it is not a list.
func (r *reader) list(path string, v any) []any {
	if v == nil {
		return nil
	}
	items, ok := v.([]any)
	if !ok {
		r.problem(path, "must be a list")
	}
	return items
}
