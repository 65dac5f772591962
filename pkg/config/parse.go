package config

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// Load reads and checks a file.
func Load(path string) (*Configuration, error) {
	_, c, err := load(path)
	return c, err
}

// load returns the content it parsed as well.
func load(path string) ([]byte, *Configuration, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, fmt.Errorf("read configuration: %w", err)
	}
	c, err := Parse(data)
	if err != nil {
		return nil, nil, fmt.Errorf("configuration %s: %w", path, err)
	}
	return data, c, nil
}

// Parse reads and checks a file's content, YAML or JSON. Its error joins one error for each problem found.
func Parse(data []byte) (*Configuration, error) {
	tree, err := decode(data)
	if err != nil {
		return nil, err
	}
	c, r := Default(), &reader{}
	root := r.object("", tree, "apiVersion", "kind", "controllers", "limits", "publisher", "archive")
	r.constant("apiVersion", root["apiVersion"], APIVersion)
	r.constant("kind", root["kind"], Kind)
	r.controllers(&c.Controllers, root["controllers"])
	r.limits(&c.Limits, root["limits"])
	r.publisher(&c.Publisher, root["publisher"])
	r.archive(&c.Archive, root["archive"])
	if err := errors.Join(r.problems...); err != nil {
		return nil, err
	}
	return c, nil
}

// decode returns the one YAML document of a file as a tree. A second one would be ignored by the decoder, and
// with it whatever somebody appended to the file.
func decode(data []byte) (any, error) {
	var documents [][]byte
	for split := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(data))); ; {
		document, err := split.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("split YAML documents: %w", err)
		}
		asJSON, err := yaml.YAMLToJSONStrict(document)
		if err != nil {
			return nil, fmt.Errorf("not valid YAML: %w", err)
		}
		if string(asJSON) != "null" { // nothing but comments
			documents = append(documents, asJSON)
		}
	}
	if len(documents) != 1 {
		return nil, fmt.Errorf("want one YAML document, found %d", len(documents))
	}
	var tree any
	decoder := json.NewDecoder(bytes.NewReader(documents[0]))
	decoder.UseNumber() // 1048576 is to stay as it is written
	if err := decoder.Decode(&tree); err != nil {
		return nil, fmt.Errorf("decode: %w", err)
	}
	return tree, nil
}
