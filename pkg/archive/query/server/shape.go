package server

import "strings"

// maxShape bounds a logged filter, in bytes.
const maxShape = 512

// filterShape replaces each string and number in a CEL expression with a question mark. This also
// hides quoted text in invalid expressions: a string that does not end hides the rest.
func filterShape(filter string) string {
	var shape strings.Builder
	for rest := filter; rest != "" && shape.Len() < maxShape; {
		switch n := literal(rest); {
		case n > 0:
			shape.WriteByte('?')
			rest = rest[n:]
		default:
			n = word(rest)
			shape.WriteString(rest[:n])
			rest = rest[n:]
		}
	}
	return shape.String()
}

// literal returns the length of the string or number that a text begins with, 0 if there is none.
func literal(text string) int {
	prefix := len(text) - len(strings.TrimLeft(text, "rRbB"))
	if quoted := text[prefix:]; prefix <= 2 && quoted != "" && (quoted[0] == '"' || quoted[0] == '\'') {
		raw := strings.ContainsAny(text[:prefix], "rR")
		return prefix + quotedLen(quoted, raw)
	}
	if text[0] < '0' || text[0] > '9' {
		return 0
	}
	return word(text)
}

// quotedLen returns the length of a quoted string, the whole text if it does not end.
func quotedLen(text string, raw bool) int {
	mark := text[:1]
	if triple := strings.Repeat(mark, 3); strings.HasPrefix(text, triple) {
		mark = triple
	}
	for i := len(mark); i < len(text); i++ {
		if text[i] == '\\' && !raw {
			i++
			continue
		}
		if strings.HasPrefix(text[i:], mark) {
			return i + len(mark)
		}
	}
	return len(text)
}

// word returns the length of the identifier or number that a text begins with, at least 1.
func word(text string) int {
	n := 0
	for n < len(text) && (text[n] == '_' || '0' <= text[n] && text[n] <= '9' || 'a' <= text[n]|0x20 &&
		text[n]|0x20 <= 'z') {
		n++
	}
	return max(n, 1)
}
