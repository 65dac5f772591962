package pack

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// Marks in a shortened text. JSON has none of these bytes; a text that has any is stored as it is,
// after plain.
const (
	plain   = 0x01
	uuid    = 0x02 // the next 16 bytes of the values, in groups of 8, 4, 4, 4 and 12 digits
	digits  = 0x03 // then a byte: the number of bytes of the values
	earlier = 0x04 // then a byte: the number of the known text or earlier value, from 0
)

const (
	minDigits = 32 // fewer are likely to be a word
	maxDigits = 2 * 255
	uuidText  = 36
	maxKnown  = 256
	minKnown  = 4 // a mark takes 2 bytes
)

// Shorten replaces runs of hexadecimal digits and known texts by marks. It returns the text with
// marks, and the values: the bytes that the digits stand for.
func Shorten(text []byte, known ...string) (short, values []byte) {
	if bytes.ContainsAny(text, "\x01\x02\x03\x04") {
		return append([]byte{plain}, text...), nil
	}
	s := shortener{known: known, numbers: map[string]int{}, short: make([]byte, 0, len(text))}
	for c := range s.begins {
		s.begins[c] = isDigit(byte(c))
	}
	for number, value := range known {
		if len(value) >= minKnown {
			s.numbers[value] = number
			s.begins[value[0]] = true
		}
	}
	s.next = len(known)
	for i := 0; i < len(text); {
		i += s.add(text[i:])
	}
	return s.short, s.values
}

// shortener has the state of Shorten. numbers has the known texts and the values so far, next is
// the next number, and begins has the bytes that any of them can begin with.
type shortener struct {
	known         []string
	numbers       map[string]int
	next          int
	begins        [256]bool
	short, values []byte
}

// add shortens the beginning of a text, and returns its length.
func (s *shortener) add(text []byte) int {
	n := 0
	for n < len(text) && !s.begins[text[n]] {
		n++
	}
	if n > 0 {
		s.short = append(s.short, text[:n]...)
		return n
	}
	for number, known := range s.known {
		if len(known) >= minKnown && known[0] == text[0] && len(known) <= len(text) &&
			string(text[:len(known)]) == known {
			s.short = append(s.short, earlier, byte(number))
			return len(known)
		}
	}
	if n = valueAt(text); n > 0 {
		s.value(string(text[:n]))
		return n
	}
	// A word of digits that is no value contains none either.
	for n = 1; isDigit(text[0]) && n < len(text) && isDigit(text[n]); {
		n++
	}
	s.short = append(s.short, text[:n]...)
	return n
}

func (s *shortener) value(value string) {
	if number, ok := s.numbers[value]; ok {
		s.short = append(s.short, earlier, byte(number)) //nolint:gosec // below maxKnown
		return
	}
	if s.next < maxKnown {
		s.numbers[value] = s.next
		s.next++
	}
	raw, _ := hex.DecodeString(strings.ReplaceAll(value, "-", "")) // valueAt has checked each digit
	if len(value) == uuidText {
		s.short = append(s.short, uuid)
	} else {
		s.short = append(s.short, digits, byte(len(raw))) //nolint:gosec // at most maxDigits/2
	}
	s.values = append(s.values, raw...)
}

// valueAt returns the length of the value at the beginning of a text: 36 for a UUID, 32 to 510 for
// digits, 0 if there is none.
func valueAt(text []byte) int {
	n := 0
	for n < len(text) && n < maxDigits && isDigit(text[n]) {
		n++
	}
	if n == 8 && isUUID(text) {
		return uuidText
	}
	if n < minDigits {
		return 0
	}
	if n &^= 1; n == uuidText {
		return n - 2 // UUIDs have this length
	}
	return n
}

func isUUID(text []byte) bool {
	if len(text) < uuidText {
		return false
	}
	for i, c := range text[:uuidText] {
		hyphen := i == 8 || i == 13 || i == 18 || i == 23
		if hyphen != (c == '-') || !hyphen && !isDigit(c) {
			return false
		}
	}
	return true
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' }

// lengthen is the reverse of Shorten.
func lengthen(short, values []byte, known []string) ([]byte, error) {
	if len(short) > 0 && short[0] == plain {
		return short[1:], nil
	}
	l := lengthener{values: values, known: slices.Clone(known), text: make([]byte, 0, len(short)+2*len(values)+64)}
	for i := 0; i < len(short); {
		if n := plainLen(short[i:]); n > 0 {
			l.text = append(l.text, short[i:i+n]...)
			i += n
			continue
		}
		c, next := short[i], byte(0)
		if i++; c == digits || c == earlier {
			if i == len(short) {
				return nil, fmt.Errorf("%w: a mark is truncated", ErrDamaged)
			}
			next = short[i]
			i++
		}
		if err := l.add(c, next); err != nil {
			return nil, err
		}
	}
	if len(l.values) > 0 {
		return nil, fmt.Errorf("%w: %d bytes are left", ErrDamaged, len(l.values))
	}
	return l.text, nil
}

// lengthener has the state of lengthen: the rest of the values, and the text so far. known are the
// known texts and the values in it.
type lengthener struct {
	values, text []byte
	known        []string
}

func (l *lengthener) add(c, next byte) error {
	switch c {
	case uuid:
		return l.value(16, true)
	case digits:
		return l.value(int(next), false)
	case earlier:
		if int(next) >= len(l.known) {
			return fmt.Errorf("%w: value %d of %d", ErrDamaged, next, len(l.known))
		}
		l.text = append(l.text, l.known[next]...)
		return nil
	}
	return fmt.Errorf("%w: unknown mark", ErrDamaged)
}

// plainLen returns the length of the text before the first mark.
func plainLen(short []byte) int {
	for i, c := range short {
		if c >= uuid && c <= earlier {
			return i
		}
	}
	return len(short)
}

func (l *lengthener) value(n int, asUUID bool) error {
	if n > len(l.values) {
		return fmt.Errorf("%w: a value of %d bytes, %d are left", ErrDamaged, n, len(l.values))
	}
	value := hex.AppendEncode(nil, l.values[:n])
	if asUUID {
		value = bytes.Join([][]byte{value[:8], value[8:12], value[12:16], value[16:20], value[20:]}, []byte("-"))
	}
	l.values = l.values[n:]
	l.known = append(l.known, string(value))
	l.text = append(l.text, value...)
	return nil
}
