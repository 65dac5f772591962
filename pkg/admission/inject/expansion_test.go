package inject

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// expand is the kubelet's own code, Expand and tryReadVariableName of
// third_party/forked/golang/expansion in Kubernetes 1.36.3 (Apache License 2.0), in one function.
func expand(input string, variables map[string]string) string {
	var buf strings.Builder
	checkpoint := 0
	for cursor := 0; cursor < len(input); cursor++ {
		if input[cursor] != '$' || cursor+1 >= len(input) {
			continue
		}
		buf.WriteString(input[checkpoint:cursor])
		rest, advance := input[cursor+1:], 0
		r, size := utf8.DecodeRuneInString(rest)
		switch closer := strings.IndexByte(rest, ')'); {
		case r == '$':
			buf.WriteString("$")
			advance = size
		case r == '(' && closer > 0:
			if value, ok := variables[rest[1:closer]]; ok {
				buf.WriteString(value)
			} else {
				buf.WriteString("$" + rest[:closer+1])
			}
			advance = closer + 1
		case r == '(':
			buf.WriteString("$(")
			advance = 1
		default:
			buf.WriteString("$" + string(r))
			advance = size
		}
		cursor += advance
		checkpoint = cursor + 1
	}
	return buf.String() + input[checkpoint:]
}

func TestCut(t *testing.T) {
	tests := map[string]struct {
		whole string
		limit int
		want  []string
	}{
		"a short string stays whole":                    {"abc", 3, []string{"abc"}},
		"pieces are as long as they may be":             {"abcdefgh", 3, []string{"abc", "def", "gh"}},
		"a reference is not cut":                        {"ab$(V)c", 4, []string{"ab", "$(V)", "c"}},
		"what looks like one to the kubelet is not cut": {"a$(ls -l | wc)b", 14, []string{"a$(ls -l | wc)", "b"}},
		"an escape is not cut":                          {"a$$(V)", 2, []string{"a", "$$", "(V", ")"}},
		"escapes are counted from the left":             {"$$$(V)", 4, []string{"$$", "$(V)"}},
		"a dollar keeps its character":                  {"ab${x}", 3, []string{"ab", "${x", "}"}},
		"a dollar at the end is an ordinary character":  {"abc$", 3, []string{"abc", "$"}},
		"a reference without an end is no reference":    {"$(ab$(c", 3, []string{"$(a", "b$(", "c"}},
		"a character is not cut":                        {"aéé", 2, []string{"a", "é", "é"}},
		"a dollar keeps a character of several bytes":   {"ab$é", 3, []string{"ab", "$é"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, ok := cut(tc.whole, tc.limit)
			if diff := cmp.Diff(tc.want, got); diff != "" || !ok {
				t.Errorf("%v %s", ok, diff)
			}
		})
	}
	t.Run("a reference longer than a piece cannot be cut", func(t *testing.T) {
		if got, ok := cut("ab$(VAR)", 5); ok {
			t.Errorf("got %q", got)
		}
	})
}

func TestLeastLength(t *testing.T) {
	tests := map[string]struct {
		s    string
		want int
	}{
		"no dollar":                           {"abc", 3},
		"an escape leaves one dollar":         {"a$$b", 3},
		"a variable may be empty":             {"a$(VAR)b", 2},
		"any printable name may be a name":    {"$(ls -l)", 0},
		"a name has no equals sign":           {"$(x=1)", 6},
		"a name has no line break":            {"$(a\nb)", 6},
		"a name has some character":           {"$()", 3},
		"a reference without an end stays":    {"$(abc", 5},
		"a dollar before anything else stays": {"${x} $", 6},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := leastLength(tc.s); got != tc.want {
				t.Errorf("got %d, want %d", got, tc.want)
			}
		})
	}
}

// A million references without an end, each with a search for that end, would take minutes.
func TestReferencesWithoutAnEnd(t *testing.T) {
	s := ")" + strings.Repeat("$(", 1<<20)
	if got := leastLength(s); got != len(s) {
		t.Errorf("got %d, want %d", got, len(s))
	}
}

func FuzzExpansion(f *testing.F) {
	f.Add("$(V)$$(V)${V}$(", "V", "value", uint8(5))
	f.Add("a$(ls ${x} | tail -1)$é$", "ls ${x} | tail -1", "", uint8(3))
	f.Add("$($(V))$$$$(V)", "$(V", "x", uint8(7))
	f.Add("\xff$\xff$(\xff)", "\xff", "", uint8(2))
	f.Fuzz(func(t *testing.T, whole, name, value string, most uint8) {
		limit := int(most)
		variables := map[string]string{}
		if mayBeVariable(name) {
			variables[name] = value
		}
		want := expand(whole, variables)
		if least := leastLength(whole); least > len(want) {
			t.Errorf("at least %d bytes, but the kubelet leaves %d", least, len(want))
		}
		pieces, ok := cut(whole, limit)
		if !ok {
			return
		}
		joined, expanded := "", ""
		for _, piece := range pieces {
			if len(piece) > limit {
				t.Errorf("piece of %d bytes, limit %d", len(piece), limit)
			}
			if utf8.ValidString(whole) && !utf8.ValidString(piece) {
				t.Errorf("%q is not valid UTF-8", piece)
			}
			joined += piece
			expanded += expand(piece, variables)
		}
		if joined != whole || expanded != want {
			t.Errorf("%q: joined %q, expanded %q, want %q", pieces, joined, expanded, want)
		}
	})
}
