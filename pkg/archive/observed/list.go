package observed

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ReadList reads a list of the API server, and calls each with the JSON of each object as it
// arrives. each may keep it. A page of a hundred objects may have 150 MB, which never are in memory
// together.
func ReadList(from io.Reader, each func(object []byte)) (about metav1.ListMeta, err error) {
	list := json.NewDecoder(from)
	if err := expect(list, '{'); err != nil {
		return about, err
	}
	for list.More() {
		name, err := list.Token()
		if err != nil {
			return about, fmt.Errorf("read a list: %w", err)
		}
		switch name {
		case "metadata":
			err = list.Decode(&about)
		case "items":
			err = readItems(list, each)
		default:
			var ignored json.RawMessage
			err = list.Decode(&ignored)
		}
		if err != nil {
			return about, fmt.Errorf("read a list: %s: %w", name, err)
		}
	}
	return about, expect(list, '}')
}

func readItems(list *json.Decoder, each func(object []byte)) error {
	if begin, err := list.Token(); err != nil || begin == nil { // an empty list may be null
		return err
	} else if begin != json.Delim('[') {
		return errors.New("want a list")
	}
	for list.More() {
		var object json.RawMessage
		if err := list.Decode(&object); err != nil {
			return err
		}
		each(object)
	}
	return expect(list, ']')
}

func expect(list *json.Decoder, delimiter json.Delim) error {
	token, err := list.Token()
	if err == nil && token != delimiter {
		err = fmt.Errorf("want %s", delimiter)
	}
	if err != nil {
		return fmt.Errorf("read a list: %w", err)
	}
	return nil
}
