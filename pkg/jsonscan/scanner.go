// Package jsonscan reads JSON in one pass, without copying it, for programs that carry large values
// and look into few.
package jsonscan

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math/bits"
)

// MaxDepth is how deeply encoding/json, and therefore an API server, lets arrays and objects nest.
const MaxDepth = 10_000

// Scanner reads JSON (RFC 8259) in one pass and copies nothing: encoding/json would scan and copy a
// value again at each level of nesting.
//
// It accepts what encoding/json accepts (checked by FuzzScanner), with two exceptions: text nested
// more than maxDepth deep, and, where Object looks into one, objects that repeat a field.
type Scanner struct {
	data            []byte
	pos             int
	depth, maxDepth int
	escaped         int
}

// New returns a Scanner of a text whose arrays and objects may nest maxDepth deep.
func New(data []byte, maxDepth int) Scanner { return Scanner{data: data, maxDepth: maxDepth} }

// Errors of a Scanner. The wrapping error says where, and quotes nothing.
var (
	ErrSyntax = errors.New("malformed JSON")
	ErrDepth  = errors.New("too deep")
)

// Pos returns how many bytes have been consumed.
func (s *Scanner) Pos() int { return s.pos }

// From returns what was consumed since Pos was start.
func (s *Scanner) From(start int) json.RawMessage { return s.data[start:s.pos:s.pos] }

// Escaped returns how many bytes the last consumed string is longer than its decoded form.
func (s *Scanner) Escaped() int { return s.escaped }

func (s *Scanner) fail(what string) error {
	return fmt.Errorf("%w at byte %d: %s", ErrSyntax, s.pos, what)
}

// Peek skips white space and returns the next byte, 0 at the end.
func (s *Scanner) Peek() byte {
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

// End reports whether nothing but white space is left.
func (s *Scanner) End() error {
	if s.Peek(); s.pos < len(s.data) {
		return s.fail("unexpected text after the value")
	}
	return nil
}

// Null consumes a null if one is next.
func (s *Scanner) Null() bool {
	if s.Peek() == 'n' && bytes.HasPrefix(s.data[s.pos:], []byte("null")) {
		s.pos += len("null")
		return true
	}
	return false
}

// Value consumes any value and returns its text.
func (s *Scanner) Value() (json.RawMessage, error) {
	s.Peek()
	start := s.pos
	if err := s.Skip(); err != nil {
		return nil, err
	}
	return s.data[start:s.pos:s.pos], nil
}

// Skip consumes any value.
func (s *Scanner) Skip() error {
	switch s.Peek() {
	case '{', '[':
		return s.skipNested()
	}
	return s.skipScalar()
}

// skipNested consumes an object or a list. It keeps its own list of open brackets instead of
// recursing, so an attacker's nesting takes no stack.
func (s *Scanner) skipNested() error {
	var few [64]byte
	closing := few[:0]
	for {
		switch c := s.Peek(); c {
		case '{', '[':
			if s.depth+len(closing) == s.maxDepth {
				return fmt.Errorf("%w: nested more than %d deep at byte %d", ErrDepth, s.maxDepth, s.pos)
			}
			closing = append(closing, c+2) // '}', ']'
			s.pos++
			if s.Peek() == c+2 {
				break
			}
			if c == '{' {
				if _, err := s.Key(); err != nil {
					return err
				}
			}
			continue
		default:
			if err := s.skipScalar(); err != nil {
				return err
			}
		}
		for s.Peek() == closing[len(closing)-1] {
			s.pos++
			if closing = closing[:len(closing)-1]; len(closing) == 0 {
				return nil
			}
		}
		if s.Peek() != ',' {
			return s.fail("want a comma or the end of the list")
		}
		s.pos++
		if closing[len(closing)-1] == '}' {
			if _, err := s.Key(); err != nil {
				return err
			}
		}
	}
}

// skipScalar consumes a string, a number or a literal.
func (s *Scanner) skipScalar() error {
	switch s.Peek() {
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

// Text consumes a string and returns it decoded.
func (s *Scanner) Text() (string, error) {
	if s.Peek() != '"' {
		return "", s.fail("want a string")
	}
	start := s.pos
	if err := s.skipString(); err != nil {
		return "", err
	}
	return DecodeText(s.data[start:s.pos])
}

// Object consumes an object. For each field it calls field, which must consume the value.
func (s *Scanner) Object(field func(key string) error) error {
	if s.Peek() != '{' {
		return s.fail("want an object")
	}
	seen := make(map[string]bool)
	return s.Members(func(raw []byte) error {
		key, err := DecodeText(raw)
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

// Members consumes an object, calling member with each key as it is written.
func (s *Scanner) Members(member func(rawKey []byte) error) error {
	return s.list('}', func() error {
		key, err := s.Key()
		if err != nil {
			return err
		}
		return member(key)
	})
}

// Key consumes a field's name and the colon, and returns the name as it is written.
func (s *Scanner) Key() ([]byte, error) {
	if s.Peek() != '"' {
		return nil, s.fail("want a field name")
	}
	start := s.pos
	if err := s.skipString(); err != nil {
		return nil, err
	}
	key := s.data[start:s.pos]
	if s.Peek() != ':' {
		return nil, s.fail("want a colon")
	}
	s.pos++
	return key, nil
}

// Array consumes an array, calling element, which must consume a value, for each.
func (s *Scanner) Array(element func() error) error {
	if s.Peek() != '[' {
		return s.fail("want a list")
	}
	return s.list(']', element)
}

// list consumes an opening bracket, items separated by commas, and the closing bracket. It is used
// only for levels that the caller looks into, which bounds its recursion.
func (s *Scanner) list(closing byte, item func() error) error {
	s.depth++
	defer func() { s.depth-- }()
	s.pos++
	if s.Peek() == closing {
		s.pos++
		return nil
	}
	for {
		if err := item(); err != nil {
			return err
		}
		switch s.Peek() {
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

func (s *Scanner) literal(word string) error {
	if !bytes.HasPrefix(s.data[s.pos:], []byte(word)) {
		return s.fail("unknown word")
	}
	s.pos += len(word)
	return nil
}

func (s *Scanner) skipString() error {
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
			written, decoded := EscapeSize(s.data[i:])
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

// plainLen returns how many bytes of a string come before the next quote, backslash or control
// character.
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

// endsPlain checks eight bytes at a time: the lowest bit set marks the first quote, backslash or
// control character.
//
// Subtracting n from each byte sets the highest bit of bytes less than n. Later bytes may have it
// set by a borrow, and bytes that had it set before are masked out. With bit 0x02 flipped, a quote
// becomes 0x20, control characters stay below 0x20, and nothing else is: a comparison with 0x21
// finds them all.
func endsPlain(data []byte) uint64 {
	const each = 0x0101010101010101
	word := binary.LittleEndian.Uint64(data)
	quoteOrControl := word ^ 0x02*each - 0x21*each
	backslash := word ^ '\\'*each - each
	return (quoteOrControl | backslash) &^ word & (0x80 * each)
}

// number consumes an optional minus, an integer without leading zeros, and optional fraction and
// exponent.
func (s *Scanner) number() error {
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

func (s *Scanner) accept(any ...byte) bool {
	if s.pos < len(s.data) && bytes.IndexByte(any, s.data[s.pos]) >= 0 {
		s.pos++
		return true
	}
	return false
}

func (s *Scanner) digits() bool {
	start := s.pos
	for s.pos < len(s.data) && isDigit(s.data[s.pos]) {
		s.pos++
	}
	return s.pos > start
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
