package run

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/indelible-ci/indelible/pkg/jsonscan"
)

// RecordOf returns an object of the API server without metadata.managedFields, which is bookkeeping of the API server's own
// and often larger than the rest. Nothing else changes, not even a space: fields that this program does not know, and numbers
// that it could not hold, are archived as they were. What goes is checked to be JSON here, what stays is checked by who gets it.
func RecordOf(object []byte) ([]byte, error) {
	object = bytes.TrimSpace(object)
	_, metadata, err := jsonscan.Locate(object, "metadata")
	if err != nil || metadata == (jsonscan.Span{}) {
		return object, err
	}
	cut, value, err := jsonscan.Locate(metadata.Of(object), "managedFields")
	switch {
	case err != nil:
		return nil, fmt.Errorf("metadata: %w", err)
	case cut == (jsonscan.Span{}):
		return object, nil
	case !json.Valid(value.Of(metadata.Of(object))):
		return nil, errors.New("metadata.managedFields is no JSON")
	}
	return slices.Concat(object[:metadata.From+cut.From], object[metadata.From+cut.To:]), nil
}
