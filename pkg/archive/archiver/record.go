package archiver

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// recordOf returns an object of the API server without metadata.managedFields, which is bookkeeping of the API server's own
// and often larger than the rest. Nothing else changes, not even a space: fields that this program does not know, and numbers
// that it could not hold, are archived as they were.
func recordOf(object []byte) ([]byte, error) {
	object = bytes.TrimSpace(object)
	c := cutter{decoder: json.NewDecoder(bytes.NewReader(object)), object: object}
	if err := c.objectField("metadata", func() error { return c.objectField("managedFields", c.cut) }); err != nil {
		return nil, err
	}
	if c.to == 0 {
		return object, nil
	}
	return append(object[:c.from:c.from], object[c.to:]...), nil
}

// cutter walks through an object as far as it must, and finds the bytes of one field.
type cutter struct {
	decoder  *json.Decoder
	object   []byte
	from, to int64
	// before is where the field begins that is looked at: behind the last token before it.
	before int64
}

// objectField calls found with the decoder before the value of the field of an object. What comes after is not read.
func (c *cutter) objectField(name string, found func() error) error {
	if open, err := c.decoder.Token(); err != nil || open != json.Delim('{') {
		return errors.Join(fmt.Errorf("no object with a field %s", name), noEnd(err))
	}
	for {
		c.before = c.decoder.InputOffset()
		if !c.decoder.More() {
			return nil
		}
		key, err := c.decoder.Token()
		if err != nil {
			return err
		}
		if key == name {
			return found()
		}
		var other json.RawMessage
		if err := c.decoder.Decode(&other); err != nil {
			return err
		}
	}
}

// cut notes from where to where the field goes, with the comma before it; the first field of an object takes the comma behind it.
func (c *cutter) cut() error {
	var value json.RawMessage
	if err := c.decoder.Decode(&value); err != nil {
		return err
	}
	c.from, c.to = c.before, c.decoder.InputOffset()
	if c.object[c.from-1] != '{' {
		return nil
	}
	for i := c.to; i < int64(len(c.object)); i++ {
		switch c.object[i] {
		case ',':
			c.to = i + 1
			return nil
		case '}':
			return nil
		}
	}
	return io.ErrUnexpectedEOF
}

func noEnd(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
