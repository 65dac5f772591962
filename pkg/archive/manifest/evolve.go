package manifest

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// A later program may write fields, types of parts and states that this one does not know. It reads
// what it knows, and carries the rest: who copies a commit without what is inline copies that as
// well. What it must not read has another apiVersion.

// Known says whether this program knows what a part of its type and state means. Of one that it
// does not know it can say whether its object is what was stored, and nothing else.
func (p *Part) Known() bool {
	return (p.Type == Record || p.Type == Log || p.Type == Events) && (p.State == Complete || p.State == Truncated || p.State == Missing)
}

// checkUnknown refuses a part only for what is wrong whatever it means: that its content in the
// commit is not what its digest says.
func (p *Part) checkUnknown(bare bool) error {
	if p.Type == "" || p.State == "" {
		return fmt.Errorf("a part has a type and a state, not %q and %q", p.Type, p.State)
	}
	if !p.isHere() || bare || p.Content == nil || p.Content.SHA256 == "" {
		return nil
	}
	if got := sumOf(p.here()); got != *p.Content {
		return fmt.Errorf("%s is %d bytes with sha256 %s, want %d with %s", p.Type, got.Bytes, got.SHA256, p.Content.Bytes, p.Content.SHA256)
	}
	return nil
}

// unmarshal reads a commit. What is in the text and not in the commit is kept in its field Unknown.
func (c *Commit) unmarshal(text []byte) error {
	strict := json.NewDecoder(bytes.NewReader(text))
	strict.DisallowUnknownFields()
	if strict.Decode(c) == nil && !strict.More() {
		return nil
	}
	*c = Commit{}
	if err := json.Unmarshal(text, c); err != nil {
		return err
	}
	known, err := c.marshal()
	if err == nil {
		c.Unknown = beside(text, known)
	}
	return err
}

func (c *Commit) marshal() ([]byte, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false) // what is inline is to stay as it is
	if err := encoder.Encode(c); err != nil {
		return nil, err
	}
	return text.Bytes(), nil
}

// beside returns what of a text of JSON is not in another one: members of objects, also within
// objects and arrays of as many elements. nil is nothing.
func beside(text, known json.RawMessage) json.RawMessage {
	if bytes.Equal(text, known) {
		return nil
	}
	var has, had map[string]json.RawMessage
	if json.Unmarshal(text, &has) == nil && json.Unmarshal(known, &had) == nil {
		rest := map[string]json.RawMessage{}
		for name, value := range has {
			if old, ok := had[name]; ok {
				value = beside(value, old)
			}
			if value != nil {
				rest[name] = value
			}
		}
		return nonEmpty(rest, len(rest))
	}
	var elements, old []json.RawMessage
	if json.Unmarshal(text, &elements) != nil || json.Unmarshal(known, &old) != nil || len(elements) != len(old) {
		return nil
	}
	found := 0
	for i := range elements {
		if elements[i] = beside(elements[i], old[i]); elements[i] != nil {
			found++
		}
	}
	return nonEmpty(elements, found)
}

func nonEmpty(value any, found int) json.RawMessage {
	if found == 0 {
		return nil
	}
	text, err := json.Marshal(value)
	if err != nil {
		return nil // it was read as JSON
	}
	return text
}

// join is the reverse of beside. What is known counts.
func join(known, rest json.RawMessage) json.RawMessage {
	var has, more map[string]json.RawMessage
	if json.Unmarshal(known, &has) == nil && json.Unmarshal(rest, &more) == nil {
		for name, value := range more {
			if old, ok := has[name]; ok {
				value = join(old, value)
			}
			has[name] = value
		}
		return encoded(has, known)
	}
	var elements, others []json.RawMessage
	if json.Unmarshal(known, &elements) != nil || json.Unmarshal(rest, &others) != nil || len(elements) != len(others) {
		return known
	}
	for i := range elements {
		elements[i] = join(elements[i], others[i])
	}
	return encoded(elements, known)
}

func encoded(value any, otherwise json.RawMessage) json.RawMessage {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return otherwise // it was read as JSON
	}
	return text.Bytes()
}
