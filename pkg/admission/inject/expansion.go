package inject

import (
	"iter"
	"strings"
	"unicode/utf8"
)

// The kubelet expands variables in every string of a container's command, args and env: $(NAME)
// becomes the variable's value if there is one, $$ becomes $ (third_party/forked/golang/expansion
// of Kubernetes 1.36). What is determined here about a string before expansion must hold after it.

// fragment is a unit of expansion: a reference $(…), an escape $$, a $ with the character after it,
// or any other single character.
type fragment struct {
	// end is where it ends in the string.
	end int
	// least is its minimum length after expansion, in bytes.
	least int
}

// fragments iterates over a string from left to right, as the kubelet does.
func fragments(s string) iter.Seq[fragment] {
	lastCloser := strings.LastIndexByte(s, ')')
	return func(yield func(fragment) bool) {
		for at := 0; at < len(s); {
			width, least := readFragment(s[at:], lastCloser-at)
			at += width
			if !yield(fragment{end: at, least: least}) {
				return
			}
		}
	}
}

// readFragment returns the width of the fragment at the beginning of s and its minimum length after
// expansion. The position of the last ")" is passed in: searching for it after each of a million
// "$(" would take minutes.
func readFragment(s string, lastCloser int) (width, least int) {
	if s[0] != '$' || len(s) == 1 {
		return runeWidth(s), runeWidth(s)
	}
	switch {
	case s[1] == '$':
		return 2, 1
	case s[1] == '(' && lastCloser > 1:
		width = 2 + strings.IndexByte(s[2:], ')') + 1
		if mayBeVariable(s[2 : width-1]) {
			return width, 0
		}
		return width, width
	default:
		width = 1 + runeWidth(s[1:])
		return width, width
	}
}

func runeWidth(s string) int {
	_, width := utf8.DecodeRuneInString(s)
	return width
}

// mayBeVariable reports whether a variable can have the name. KEP-4369 allows any printable ASCII
// character except "=". $(date "+%F") is unlikely to be one, but envFrom might set it.
func mayBeVariable(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r > '~' || r == '=' })
}

// leastLength is the minimum length of a string after expansion.
func leastLength(s string) int {
	if !strings.Contains(s, "$") {
		return len(s)
	}
	length := 0
	for f := range fragments(s) {
		length += f.least
	}
	return length
}

// cut divides a string into pieces of at most limit bytes whose expansions, joined, equal the
// expansion of the whole: it cuts between fragments only. It returns false if one fragment is
// longer than limit.
func cut(s string, limit int) ([]string, bool) {
	var pieces []string
	start, end := 0, 0
	for f := range fragments(s) {
		if f.end-start > limit {
			pieces, start = append(pieces, s[start:end]), end
		}
		if f.end-start > limit {
			return nil, false
		}
		end = f.end
	}
	return append(pieces, s[start:]), true
}
