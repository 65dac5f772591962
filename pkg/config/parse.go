package config

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// Load reads and validates a configuration file and the file beside it that names Tekton's
// controller.
func Load(path string) (*Configuration, error) {
	f, err := readFiles(path)
	if err != nil {
		return nil, err
	}
	c, err := f.parse()
	if err != nil {
		return nil, fmt.Errorf("configuration %s: %w", path, err)
	}
	return c, nil
}

// files are the contents of both files.
type files struct{ configuration, controller []byte }

func readFiles(path string) (files, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return files{}, fmt.Errorf("read configuration: %w", err)
	}
	controller, err := readControllers(path)
	return files{data, controller}, err
}

// sum identifies the contents. The length prefix prevents that moving text from one file to the
// other goes unnoticed.
func (f files) sum() [sha256.Size]byte {
	return sha256.Sum256(fmt.Appendf(nil, "%d\n%s%s", len(f.controller), f.controller, f.configuration))
}

func (f files) parse() (*Configuration, error) {
	c, err := Parse(f.configuration)
	controllers, second := ParseControllers(string(f.controller))
	if err = errors.Join(err, second); err != nil {
		return nil, err
	}
	c.Controllers = controllers
	return c, nil
}

// Parse reads and validates a file's content, YAML or JSON. Its error joins one error per problem.
// Controllers keep the default: they are not in this file.
func Parse(data []byte) (*Configuration, error) {
	tree, err := decode(data)
	if err != nil {
		return nil, err
	}
	if isConfigMap(tree) {
		return nil, errConfigMap
	}
	c, r := Default(), &reader{}
	if fields, ok := tree.(map[string]any); ok && fields["controllers"] != nil {
		r.problem("controllers", "%s", movedControllers)
		delete(fields, "controllers")
	}
	root := r.object("", tree, "apiVersion", "kind", "limits", "publisher", "archive", "api")
	r.constant("apiVersion", root["apiVersion"], APIVersion)
	r.constant("kind", root["kind"], Kind)
	r.limits(&c.Limits, root["limits"])
	r.publisher(&c.Publisher, root["publisher"])
	r.archive(&c.Archive, root["archive"])
	r.api(&c.API, root["api"])
	if err := errors.Join(r.problems...); err != nil {
		return nil, err
	}
	return c, nil
}

var errConfigMap = errors.New("this is a ConfigMap: give the content of its key config.yaml instead")

func isConfigMap(tree any) bool {
	fields, _ := tree.(map[string]any)
	return fields["kind"] == "ConfigMap"
}

// decode returns a file's one YAML document as a tree. The decoder would ignore a second document,
// and with it anything appended to the file.
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
		if string(asJSON) != "null" { // only comments
			documents = append(documents, asJSON)
		}
	}
	if len(documents) != 1 {
		return nil, fmt.Errorf("want one YAML document, found %d", len(documents))
	}
	var tree any
	decoder := json.NewDecoder(bytes.NewReader(documents[0]))
	decoder.UseNumber() // keep 1048576 verbatim
	if err := decoder.Decode(&tree); err != nil {
		return nil, fmt.Errorf("decode: %w", err)
	}
	return tree, nil
}
