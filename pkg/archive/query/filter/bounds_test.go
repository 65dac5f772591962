package filter_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/query/filter"
)

// array returns a JSON array of n numbers.
func array(n int) string { return "[" + strings.TrimSuffix(strings.Repeat("1,", n), ",") + "]" }

// object returns a JSON object of n members.
func object(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat(",", min(i, 1)) + `"` + string(rune(0x4e00+i)) + `":1`)
	}
	return "{" + b.String() + "}"
}

// Filters that would take much memory or time to parse are invalid.
func TestParseIsBounded(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"many macros": {
			strings.Repeat(`data.s.exists(x, false) || `, 21) + "false", "more than 20 parts",
		},
		"many has()": {strings.Repeat(`has(data.s) && `, 21) + "true", "more than 20 parts"},
		"a long pattern": {
			`name.matches("` + strings.Repeat("a", 1025) + `")`, "1025 bytes, more than 1024",
		},
		"repetitions":        {`name.matches("(?:` + strings.Repeat("a?", 300) + `){1000}")`, "5000 instr"},
		"nested repetitions": {`name.matches("(?:(?:(?:ab){10}){10}){10}y{1000}z{1000}w{1000}v")`, "5000 instr"},
		"a minimum":          {`name.matches("(?:abcdef){1000,}")`, "5000 instr"},
		"repetitions within a macro": {
			`data.s.exists(x, x.matches("(?:` + strings.Repeat("a?", 300) + `){1000}"))`, "5000 instr",
		},
		"deep lists": {
			`name == ` + strings.Repeat("[", 21) + strings.Repeat("]", 21) + `[0]`, "at most 20",
		},
		"deep maps": {
			`data == ` + strings.Repeat(`{"a":`, 21) + "1" + strings.Repeat("}", 21), "at most 20",
		},
		"deep macros": {
			strings.Repeat(`[1].all(x, `, 21) + "true" + strings.Repeat(")", 21), "at most 20",
		},
		"a pattern of the record within a macro": {
			`data.s.exists(x, x.matches(data.b))`, "must be a constant",
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := filter.Parse(filter.Records, c.text)
			if !errors.Is(err, filter.ErrInvalid) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %.200v, want %q", err, c.want)
			}
		})
	}
	for name, text := range map[string]string{
		"as many macros as may be": strings.Repeat(`data.s.exists(x, false) || `, 20) + "false",
		"a pattern within a macro": `data.s.exists(x, x.matches("^a{1,20}$"))`,
		"a long enough pattern":    `name.matches("` + strings.Repeat("a", 1024) + `")`,
	} {
		if _, err := filter.Parse(filter.Records, text); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Filters that would take much memory or time on a record are ErrCost there.
func TestEvaluationIsBounded(t *testing.T) {
	kib64 := strings.Repeat("a", 64<<10)
	for name, c := range map[string]struct {
		kind             filter.Kind
		text, data, want string
	}{
		"a long list": {0, `data.s.exists(x, x == 2)`, `{"s":` + array(5001) + `}`, "5001 elements"},
		"a long list by keys": {
			0, `data["a"]["s"][0].all(x, x == 1)`, `{"a":{"s":[` + array(5001) + `]}}`, "5001 elements",
		},
		"a long map": {
			0, `data.s.exists(k, k == "a")`, `{"s":` + object(5001) + `}`, "5001 elements",
		},
		"a long list in another": {
			0, `data.a.exists(x, data.s.exists(y, x == y))`, `{"a":[2],"s":` + array(5001) + `}`, "5001 elem",
		},
		"a long list mapped": {
			0, `data.s.map(x, x).size() == 1`, `{"s":` + array(5001) + `}`, "5001 elements",
		},
		"many annotations": {filter.Results, `annotations.exists(k, k == "a")`, "", "5001 elements"},
		"a long sum": {
			0, `name` + strings.Repeat(" + data.s", 200) + ` == "a"`, `{"s":"` + kib64 + `"}`, "more than 1048576",
		},
		"a long text": {
			0, `data.s.matches("b")`, `{"s":"` + strings.Repeat(kib64, 17) + `"}`, "at most 1048576",
		},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := filter.Parse(c.kind, c.text)
			if err != nil {
				t.Fatal(err)
			}
			annotations := map[string]string{}
			for i := range 5001 {
				annotations[string(rune(0x4e00+i))] = ""
			}
			r := record{values: map[string]any{"name": "x", "annotations": annotations}, data: c.data}
			_, err = f.Must(t.Context(), r)
			if !errors.Is(err, filter.ErrCost) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %.200v, want ErrCost with %q", err, c.want)
			}
		})
	}
}

// A pattern in a record that is too long is null, like an invalid one: neither it nor its negation
// matches.
func TestPatternsOfRecords(t *testing.T) {
	for name, c := range map[string]struct {
		pattern string
		matches bool
	}{
		"a short one":  {"^a+$", true},
		"none":         {"(", false},
		"a long one":   {strings.Repeat("a?", 129), false},
		"repetitions":  {"(?:a?a?a?a?a?a?){1000}", false},
		"a longer yet": {strings.Repeat("a?", 1<<20), false},
	} {
		for _, text := range []string{`data.a.matches(data.b)`, `!data.a.matches(data.b)`} {
			f, err := filter.Parse(filter.Records, text)
			if err != nil {
				t.Fatal(err)
			}
			want := c.matches && text[0] != '!'
			got, err := f.Must(t.Context(), record{data: `{"a":"aaa","b":"` + c.pattern + `"}`})
			if err != nil || got != want {
				t.Errorf("%s: %s: got %v, %v; want %v", name, text, got, err, want)
			}
		}
	}
}

// ending is an Env that ends the context when the first value is requested.
type ending struct {
	record
	end   context.CancelFunc
	asked *int
}

func (e ending) Value(variable string, path []filter.Step) any {
	*e.asked++
	e.end()
	return e.record.Value(variable, path)
}

func (e ending) Native(variable string) any {
	*e.asked++
	e.end()
	return e.record.Native(variable)
}

// The end of a request ends the evaluation.
func TestContextEnds(t *testing.T) {
	data := `{"s":` + array(5000) + `,"t":"` + strings.Repeat("a", 1<<20) + `"}`
	for name, text := range map[string]string{
		"alternatives":          strings.Repeat(`data.x == "a" || `, 100) + `name == "x"`,
		"a macro":               `data.s.exists(x, x == 2)`,
		"a macro over no path":  `(data.s + data.s).exists(x, x == 2)`,
		"macros within a macro": `data.s.all(x, data.s.all(y, x == y))`,
		"a pattern":             `data.t.matches("(?:a?b?c?d?e?f?){20}Z")`,
		"a list":                `name in [` + strings.Repeat(`data.x, `, 100) + `"y"]`,
	} {
		t.Run(name, func(t *testing.T) {
			f, err := filter.Parse(filter.Records, text)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			asked := 0
			env := ending{record{values: map[string]any{"name": "x"}, data: data}, cancel, &asked}
			if _, err := f.Must(ctx, env); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v, want that the context was canceled", err)
			}
			if asked != 1 {
				t.Errorf("%d values were asked for, of which all but one after the end", asked)
			}
			if _, err := f.May(ctx, env); !errors.Is(err, context.Canceled) || asked != 1 {
				t.Errorf("once it ended: got %v, and %d values were asked for", err, asked)
			}
		})
	}
}

// A context that ends during a macro or a pattern ends the evaluation, which would take much longer
// than the test may.
func TestDeadline(t *testing.T) {
	data := `{"s":` + array(20000) + `,"t":"` + strings.Repeat("a", 1<<20) + `"}`
	for _, text := range []string{
		`(data.s + data.s).exists(x, x == 2)`,
		`data.t.matches("(?:a?b?c?d?e?f?){300}Z")`,
	} {
		f, err := filter.Parse(filter.Records, text)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if _, err := f.Must(ctx, record{data: data}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: got %v, want that the deadline was exceeded", text, err)
		}
	}
}
