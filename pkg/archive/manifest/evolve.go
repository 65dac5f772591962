package manifest

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// A later version may write fields, part types and part states that this one does not know. This
// version reads what it knows and preserves the rest: a bare copy of a commit keeps unknown fields
// too. Incompatible changes get another apiVersion.

// Known reports whether this version knows the part's type and state. Of an unknown part it can
// only verify that the object is what was stored.
func (p *Part) Known() bool {
	return (p.Type == Record || p.Type == Log || p.Type == Events) &&
		(p.State == Complete || p.State == Truncated || p.State == Missing)
}

// checkUnknown checks an unknown part for what holds whatever it means: it has a type and a state,
// and content in the commit matches its digest.
func (p *Part) checkUnknown(bare bool) error {
	if p.Type == "" || p.State == "" {
		return fmt.Errorf("a part has a type and a state, not %q and %q", p.Type, p.State)
	}
	if !p.isEmbedded() || bare || p.Content == nil || p.Content.SHA256 == "" {
		return nil
	}
	if got := sumOf(p.embedded()); got != *p.Content {
		return fmt.Errorf("%s is %d bytes with sha256 %s, want %d with %s", p.Type, got.Bytes, got.SHA256,
			p.Content.Bytes, p.Content.SHA256)
	}
	return nil
}

// unmarshal decodes a commit. JSON members that Commit does not have go to its field Unknown.
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
		c.Unknown = difference(text, known)
	}
	return err
}

func (c *Commit) marshal() ([]byte, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false) // keep inline content as it is
	if err := encoder.Encode(c); err != nil {
		return nil, err
	}
	return text.Bytes(), nil
}

// difference returns the part of the JSON value text that known does not have: members of objects,
// also nested in objects and in arrays of the same length. nil if there is none.
func difference(text, known json.RawMessage) json.RawMessage {
	if bytes.Equal(text, known) {
		return nil
	}
	var members, knownMembers map[string]json.RawMessage
	if json.Unmarshal(text, &members) == nil && json.Unmarshal(known, &knownMembers) == nil {
		rest := map[string]json.RawMessage{}
		for name, value := range members {
			if other, ok := knownMembers[name]; ok {
				value = difference(value, other)
			}
			if value != nil {
				rest[name] = value
			}
		}
		return nonEmpty(rest, len(rest))
	}
	var elements, others []json.RawMessage
	if json.Unmarshal(text, &elements) != nil || json.Unmarshal(known, &others) != nil || len(elements) != len(others) {
		return nil
	}
	found := 0
	for i := range elements {
		if elements[i] = difference(elements[i], others[i]); elements[i] != nil {
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
		return nil // cannot happen: it was decoded from JSON
	}
	return text
}

// merge is the reverse of difference. If both have a value, the one of known wins.
func merge(known, rest json.RawMessage) json.RawMessage {
	var has, more map[string]json.RawMessage
	if json.Unmarshal(known, &has) == nil && json.Unmarshal(rest, &more) == nil {
		for name, value := range more {
			if other, ok := has[name]; ok {
				value = merge(other, value)
			}
			has[name] = value
		}
		return encodeOr(has, known)
	}
	var elements, others []json.RawMessage
	if json.Unmarshal(known, &elements) != nil || json.Unmarshal(rest, &others) != nil || len(elements) != len(others) {
		return known
	}
	for i := range elements {
		elements[i] = merge(elements[i], others[i])
	}
	return encodeOr(elements, known)
}

func encodeOr(value any, fallback json.RawMessage) json.RawMessage {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return fallback // cannot happen: it was decoded from JSON
	}
	return text.Bytes()
}
