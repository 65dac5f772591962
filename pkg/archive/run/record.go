package run

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/indelible-ci/indelible/pkg/jsonscan"
)

// managedFields is bookkeeping of the API server's own, and often larger than the rest.
const managedFields = "managedFields"

// RecordOf returns an object of the API server without metadata.managedFields, and the other fields of its metadata that are given. Nothing
// else changes, not even a space: fields that this program does not know, and numbers that it could not hold, are archived as they
// were. The error says that the object is no JSON.
func RecordOf(object []byte, others ...string) ([]byte, error) {
	object = bytes.TrimSpace(object)
	_, at, err := jsonscan.Locate(object, "metadata")
	if err != nil || at == (jsonscan.Span{}) {
		return object, err
	}
	metadata := at.Of(object)
	for _, field := range append(others, managedFields) {
		cut, _, err := jsonscan.Locate(metadata, field)
		if err != nil {
			return nil, fmt.Errorf("metadata: %w", err)
		}
		if cut != (jsonscan.Span{}) {
			metadata = slices.Concat(metadata[:cut.From], metadata[cut.To:])
		}
	}
	if len(metadata) == at.To-at.From {
		return object, nil
	}
	return slices.Concat(object[:at.From], metadata, object[at.To:]), nil
}
