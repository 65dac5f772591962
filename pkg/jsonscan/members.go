package jsonscan

import (
	"encoding/json"
	"fmt"
)

// Span is a range of a text.
type Span struct{ From, To int }

// Of returns the range.
func (s Span) Of(text []byte) []byte { return text[s.From:s.To] }

// Members calls found for each member of a JSON object, with the name as written, without quotes,
// and the position of the value. Only white space may follow the object. All of it is checked to be
// valid JSON.
func Members(object []byte, found func(key []byte, value Span) error) error {
	s := New(object, MaxDepth)
	if s.Peek() != '{' {
		return s.fail("want an object")
	}
	err := s.Members(func(rawKey []byte) error {
		s.Peek()
		start := s.pos
		if err := s.Skip(); err != nil {
			return err
		}
		return found(rawKey[1:len(rawKey)-1], Span{start, s.pos})
	})
	if err != nil {
		return err
	}
	return s.End()
}

// Wanted maps fields of a JSON object to destinations: a pointer for json.Unmarshal, Wanted fields
// of an object, or Lenient.
type Wanted map[string]any

// Lenient is a destination for what anybody may have written: a value of another type than it wants
// is no error, and leaves it zero. So do single fields and elements of a value, unless a method
// UnmarshalJSON fails: encoding/json goes on after what is of another type.
type Lenient struct{ To any }

// Read reads an object or null. It finds the fields without decoding the rest: a watch delivers
// every change of every object with its full text, of which few fields matter.
func (w Wanted) Read(object []byte) error { return w.read(object, false) }

func (w Wanted) read(object []byte, lenient bool) error {
	if s := New(object, MaxDepth); s.Null() {
		return s.End()
	}
	return Members(object, func(key []byte, value Span) error {
		if err := readInto(w[string(key)], value.Of(object), lenient); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		return nil
	})
}

// readInto reads a value, which is valid JSON.
func readInto(to any, value []byte, lenient bool) error {
	var err error
	switch to := to.(type) {
	case nil:
	case Lenient:
		return readInto(to.To, value, true)
	case Wanted:
		err = to.read(value, lenient)
	default:
		err = json.Unmarshal(value, to)
	}
	if lenient {
		return nil
	}
	return err
}

// Locate finds a member of an object and its value; both are empty if there is none. The member
// begins at the end of the previous one and includes the comma between; the first of several
// includes the comma after it.
func Locate(object []byte, name string) (member, value Span, err error) {
	s := New(object, MaxDepth)
	s.Peek()
	first := s.pos + 1
	before := first
	err = Members(object, func(key []byte, at Span) error {
		if string(key) == name {
			member, value = Span{before, at.To}, at
		}
		before = at.To
		return nil
	})
	if err != nil {
		return Span{}, Span{}, err
	}
	s.pos = member.To
	if member.From == first && s.Peek() == ',' {
		member.To = s.pos + 1
	}
	return member, value, nil
}

// Elements calls found with the text of each element of a JSON array.
func Elements(array []byte, found func(element []byte) error) error {
	s := New(array, MaxDepth)
	err := s.Array(func() error {
		value, err := s.Value()
		if err != nil {
			return err
		}
		return found(value)
	})
	if err != nil {
		return err
	}
	return s.End()
}
