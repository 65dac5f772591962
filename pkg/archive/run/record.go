package run

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/indelible-ci/indelible/pkg/jsonscan"
)

// managedFields is the API server's bookkeeping, often larger than the rest of an object.
const managedFields = "managedFields"

// RecordOf returns an object's JSON without metadata.managedFields and the given other fields of
// its metadata. Every other byte stays: unknown fields and numbers of any precision are archived
// unchanged. The error is that the object is not JSON.
func RecordOf(object []byte, others ...string) ([]byte, error) {
	return Without(bytes.TrimSpace(object), "metadata", append(others, managedFields)...)
}

// Without returns an object's JSON without some fields of one member, itself an object. If there is
// nothing to remove, the object is returned as it is.
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
