package guard

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth is how deeply arrays and objects may nest. The types of a TaskRun of Tekton 1.15 nest 15 deep at most, in
// status.retriesStatus[].taskSpec.volumes[].projected.sources[].clusterTrustBundle.labelSelector.matchExpressions[].values
// (TestDepthOfTaskRuns); managedFields name each field, and so nest 5 deeper. encoding/json draws the line at 10,000.
const maxDepth = 200

// scanner reads JSON (RFC 8259) in one pass and copies nothing. The guard carries and compares values of up to a
// mebibyte but seldom looks into them; encoding/json would scan and copy them again at each level of the object.
//
// It accepts what encoding/json accepts (FuzzScanner holds it to that), but for what nests more than maxDepth deep, and
// besides refuses an object that repeats a field, wherever the guard looks into one.
type scanner struct {
	data  []byte
	pos   int
	depth int
	// escaped is by how much the last string that was consumed is longer than what it decodes to, in bytes.
	escaped int
}

var (
	errSyntax = errors.New("malformed JSON")
	errDepth  = fmt.Errorf("nested more than %d deep", maxDepth)
)

func (s *scanner) fail(what string) error {
	return fmt.Errorf("%w at byte %d: %s", errSyntax, s.pos, what)
}

// peek skips white space and returns the next byte, 0 at the end.
func (s *scanner) peek() byte {
	for s.pos < len(s.data) {
		switch c := s.data[s.pos]; c {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return c
		}
	}
	return 0
}

// end reports whether nothing but white space is left.
func (s *scanner) end() error {
	if s.peek(); s.pos < len(s.data) {
		return s.fail("unexpected text after the value")
	}
	return nil
}

// null consumes a null if one is next.
func (s *scanner) null() bool {
	if s.peek() == 'n' && bytes.HasPrefix(s.data[s.pos:], []byte("null")) {
		s.pos += len("null")
		return true
	}
	return false
}

// value consumes any value and returns its text.
func (s *scanner) value() (json.RawMessage, error) {
	s.peek()
	start := s.pos
	if err := s.skip(); err != nil {
		return nil, err
	}
	return s.data[start:s.pos:s.pos], nil
}

// skip consumes any value.
func (s *scanner) skip() error {
	switch s.peek() {
	case '{', '[':
		return s.skipNested()
	}
	return s.skipScalar()
}

// skipNested consumes an object or a list. It remembers in a list of its own which brackets are open, instead of calling
// itself: what an attacker nests takes no stack.
func (s *scanner) skipNested() error {
	var closing [maxDepth]byte
	open := 0
	for {
		switch c := s.peek(); c {
		case '{', '[':
			if s.depth+open == maxDepth {
				return fmt.Errorf("%w at byte %d", errDepth, s.pos)
			}
			closing[open] = c + 2 // '}', ']'
			open++
			s.pos++
			if s.peek() == c+2 {
				break
			}
			if c == '{' {
				if _, err := s.key(); err != nil {
					return err
				}
			}
			continue
		default:
			if err := s.skipScalar(); err != nil {
				return err
			}
		}
		for s.peek() == closing[open-1] {
			s.pos++
			if open--; open == 0 {
				return nil
			}
		}
		if s.peek() != ',' {
			return s.fail("want a comma or the end of the list")
		}
		s.pos++
		if closing[open-1] == '}' {
			if _, err := s.key(); err != nil {
				return err
			}
		}
	}
}

// skipScalar consumes a string, a number or a literal, of which the first byte is next.
func (s *scanner) skipScalar() error {
	switch s.peek() {
	case '"':
		return s.skipString()
	case 't':
		return s.literal("true")
	case 'f':
		return s.literal("false")
	case 'n':
		return s.literal("null")
	}
	return s.number()
}

// text consumes a string and returns it decoded.
func (s *scanner) text() (string, error) {
	if s.peek() != '"' {
		return "", s.fail("want a string")
	}
	start := s.pos
	if err := s.skipString(); err != nil {
		return "", err
	}
	return decodeText(s.data[start:s.pos])
}

// object consumes an object. For each field it calls field, which must consume the value.
func (s *scanner) object(field func(key string) error) error {
	if s.peek() != '{' {
		return s.fail("want an object")
	}
	seen := make(map[string]bool)
	return s.members(func(raw []byte) error {
		key, err := decodeText(raw)
		if err != nil {
			return err
		}
		if seen[key] {
			return s.fail("a field is given twice")
		}
		seen[key] = true
		return field(key)
	})
}

// members consumes an object, calling member with each key as it is written.
func (s *scanner) members(member func(rawKey []byte) error) error {
	return s.list('}', func() error {
		key, err := s.key()
		if err != nil {
			return err
		}
		return member(key)
	})
}

// key consumes a field's name and the colon, and returns the name as it is written.
func (s *scanner) key() ([]byte, error) {
	if s.peek() != '"' {
		return nil, s.fail("want a field name")
	}
	start := s.pos
	if err := s.skipString(); err != nil {
		return nil, err
	}
	key := s.data[start:s.pos]
	if s.peek() != ':' {
		return nil, s.fail("want a colon")
	}
	s.pos++
	return key, nil
}

// array consumes an array, calling element, which must consume a value, for each.
func (s *scanner) array(element func() error) error {
	if s.peek() != '[' {
		return s.fail("want a list")
	}
	return s.list(']', element)
}

// list consumes an opening bracket, items with commas between them, and the closing bracket. Only what the guard looks into
// is read by it, and by that its depth is bounded.
func (s *scanner) list(closing byte, item func() error) error {
	s.depth++
	defer func() { s.depth-- }()
	s.pos++
	if s.peek() == closing {
		s.pos++
		return nil
	}
	for {
		if err := item(); err != nil {
			return err
		}
		switch s.peek() {
		case closing:
			s.pos++
			return nil
		case ',':
			s.pos++
		default:
			return s.fail("want a comma or the end of the list")
		}
	}
}

func (s *scanner) literal(word string) error {
	if !bytes.HasPrefix(s.data[s.pos:], []byte(word)) {
		return s.fail("unknown word")
	}
	s.pos += len(word)
	return nil
}

func (s *scanner) skipString() error {
	s.escaped = 0
	for i := s.pos + 1; ; {
		i += plainLen(s.data[i:])
		if i == len(s.data) {
			s.pos = i
			return s.fail("string without an end")
		}
		switch s.data[i] {
		case '"':
			s.pos = i + 1
			return nil
		case '\\':
			n := escapeLen(s.data[i:])
			if n == 0 {
				s.pos = i
				return s.fail("unknown escape in a string")
			}
			written, decoded := escapeSize(s.data[i:])
			if written > n && escapeLen(s.data[i+n:]) != n { // half of what looked like a surrogate pair
				s.pos = i + n
				return s.fail("unknown escape in a string")
			}
			s.escaped += written - decoded
			i += written
		default:
			s.pos = i
			return s.fail("control character in a string")
		}
	}
}

// plainLen returns how many bytes of a string come before the next quote, backslash or control character.
func plainLen(data []byte) int {
	i := 0
	for ; i+16 <= len(data); i += 16 {
		first, second := endsPlain(data[i:]), endsPlain(data[i+8:])
		if first|second == 0 {
			continue
		}
		if first != 0 {
			return i + bits.TrailingZeros64(first)/8
		}
		return i + 8 + bits.TrailingZeros64(second)/8
	}
	for i < len(data) && data[i] >= ' ' && data[i] != '"' && data[i] != '\\' {
		i++
	}
	return i
}

// endsPlain looks at eight bytes at a time: the lowest bit that is set is that of the first quote, backslash or control character.
//
// After n is subtracted from each byte, one that was less than n has its highest bit set. So may bytes after it, from which it
// borrowed, and bytes that had it set before, which are none of the three. With the bit 0x02 of each flipped, a quote is
// 0x20, the control characters are below it as before, and nothing else is: less than 0x21 finds them all.
func endsPlain(data []byte) uint64 {
	const each = 0x0101010101010101
	word := binary.LittleEndian.Uint64(data)
	quoteOrControl := word ^ 0x02*each - 0x21*each
	backslash := word ^ '\\'*each - each
	return (quoteOrControl | backslash) &^ word & (0x80 * each)
}

// escapeLen returns the length of the escape sequence that data begins with, 0 if it is none.
func escapeLen(data []byte) int {
	if len(data) < 2 {
		return 0
	}
	switch data[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if len(data) < 6 {
			return 0
		}
		for _, c := range data[2:6] {
			if !isHex(c) {
				return 0
			}
		}
		return 6
	}
	return 0
}

func isHex(c byte) bool {
	return isDigit(c) || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// number consumes an optional minus, an integer without leading zeros, and optional fraction and exponent.
func (s *scanner) number() error {
	s.accept('-')
	if !s.accept('0') && !s.digits() {
		return s.fail("want a value")
	}
	if s.accept('.') && !s.digits() {
		return s.fail("want digits after the point")
	}
	if s.accept('e', 'E') {
		s.accept('+', '-')
		if !s.digits() {
			return s.fail("want digits in the exponent")
		}
	}
	return nil
}

func (s *scanner) accept(any ...byte) bool {
	if s.pos < len(s.data) && bytes.IndexByte(any, s.data[s.pos]) >= 0 {
		s.pos++
		return true
	}
	return false
}

func (s *scanner) digits() bool {
	start := s.pos
	for s.pos < len(s.data) && isDigit(s.data[s.pos]) {
		s.pos++
	}
	return s.pos > start
}

// decodeText decodes a JSON string that the scanner has accepted.
func decodeText(raw []byte) (string, error) {
	if utf8.Valid(raw) {
		return string(appendText(make([]byte, 0, len(raw)), raw[1:len(raw)-1])), nil
	}
	var text string // in which encoding/json replaces what is not UTF-8
	if err := json.Unmarshal(raw, &text); err != nil {
		return "", fmt.Errorf("decode a string: %w", err)
	}
	return text, nil
}

// appendText appends what the text between two quotes decodes to.
func appendText(decoded, text []byte) []byte {
	for len(text) > 0 {
		n := plainLen(text)
		decoded, text = append(decoded, text[:n]...), text[n:]
		if len(text) > 0 {
			decoded, n = appendEscape(decoded, text)
			text = text[n:]
		}
	}
	return decoded
}

// appendEscape appends what the escape that text begins with decodes to, and returns the escape's length. Half a surrogate pair
// decodes to U+FFFD, as by encoding/json.
func appendEscape(decoded, text []byte) ([]byte, int) {
	switch c := text[1]; c {
	case 'b':
		return append(decoded, '\b'), 2
	case 'f':
		return append(decoded, '\f'), 2
	case 'n':
		return append(decoded, '\n'), 2
	case 'r':
		return append(decoded, '\r'), 2
	case 't':
		return append(decoded, '\t'), 2
	case 'u':
		r := codeUnit(text)
		if len(text) >= 12 && text[6] == '\\' && text[7] == 'u' {
			if pair := utf16.DecodeRune(r, codeUnit(text[6:])); pair != utf8.RuneError {
				return utf8.AppendRune(decoded, pair), 12
			}
		}
		return utf8.AppendRune(decoded, r), 6
	default:
		return append(decoded, c), 2
	}
}
