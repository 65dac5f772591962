package run

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/indelible-ci/indelible/pkg/jsonscan"
)

// managedFields is bookkeeping of the API server's own, and often larger than the rest.
const managedFields = "managedFields"

// RecordOf returns an object of the API server without metadata.managedFields, and without the
// other fields of its metadata that are given. Nothing else changes, not even a space: fields that
// this program does not know, and numbers that it could not hold, are archived as they were. The
// error says that the object is no JSON.
func RecordOf(object []byte, others ...string) ([]byte, error) {
	return Without(bytes.TrimSpace(object), "metadata", append(others, managedFields)...)
}

// Without returns an object without some fields of one of its members, an object itself. Nothing
// else changes. An object that has no such member, or none of the fields, is returned as it is.
func Without(object []byte, member string, fields ...string) ([]byte, error) {
	_, at, err := jsonscan.Locate(object, member)
	if err != nil || at == (jsonscan.Span{}) {
		return object, err
	}
	left := at.Of(object)
	for _, field := range fields {
		cut, _, err := jsonscan.Locate(left, field)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", member, err)
		}
		if cut != (jsonscan.Span{}) {
			left = slices.Concat(left[:cut.From], left[cut.To:])
		}
	}
	if len(left) == at.To-at.From {
		return object, nil
	}
	return slices.Concat(object[:at.From], left, object[at.To:]), nil
}
