package inject

import (
	"iter"
	"strings"
	"unicode/utf8"
)

// The kubelet replaces variables in every string of a container's command, args and env by itself: $(NAME) by the
// variable's value if there is one, $$ by $ (third_party/forked/golang/expansion of Kubernetes 1.36). What is said
// here about a string before that has to hold after it.

// token is a part of a string that the kubelet takes as one: a reference $(…), an escape $$, a $ with the character
// after it, or any other character.
type fragment struct {
	// end is where it ends in the string.
	end int
	// least is how many bytes are left of it for certain.
	least int
}

// tokens goes through a string as the kubelet does, from left to right.
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

// readToken returns the width of the token that s begins with, and what is left of it for certain. The last
// parenthesis that closes is given, because looking for it after each of a million "$(" would take minutes.
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

// mayBeVariable says whether a variable can have the name. KEP-4369 allows any printable ASCII character but "=".
// $(date "+%F") is hardly one, but nobody can tell that it is not set by envFrom.
func mayBeVariable(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r > '~' || r == '=' })
}

// leastLength is the length that a string has at least once the kubelet has replaced its variables.
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

// cut divides a string into pieces of at most limit bytes, such that what the kubelet makes of the pieces, joined,
// is what it makes of the whole: it cuts between tokens only. It reports false if one token is longer than limit.
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
