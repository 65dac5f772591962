package archiver

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// recordOf returns an object of the API server without metadata.managedFields, which is bookkeeping of the API server's own
// and often larger than the rest. Nothing else changes, not even a space: fields that this program does not know, and numbers
// that it could not hold, are archived as they were. What goes is checked to be JSON here, what stays is checked by who gets it.
func recordOf(object []byte) ([]byte, error) {
	object = bytes.TrimSpace(object)
	_, metadata, err := locate(object, "metadata")
	if err != nil || metadata == (span{}) {
		return object, err
	}
	cut, value, err := locate(metadata.of(object), "managedFields")
	switch {
	case err != nil:
		return nil, fmt.Errorf("metadata: %w", err)
	case cut == (span{}):
		return object, nil
	case !json.Valid(value.of(metadata.of(object))):
		return nil, errors.New("metadata.managedFields is no JSON")
	}
	return slices.Concat(object[:metadata.from+cut.from], object[metadata.from+cut.to:]), nil
}

// locate finds a member of an object, and its value: nothing if there is none. The member is from the end of the one before, with
// the comma between; the first one of several takes the comma behind it.
func locate(object []byte, name string) (member, value span, err error) {
	first := skipSpace(object, 0) + 1
	before := first
	err = members(object, func(key []byte, at span) error {
		if string(key) == name {
			member, value = span{before, at.to}, at
		}
		before = at.to
		return nil
	})
	if err != nil {
		return span{}, span{}, err
	}
	if behind := skipSpace(object, member.to); member.from == first && object[behind] == ',' {
		member.to = behind + 1
	}
	return member, value, nil
}
