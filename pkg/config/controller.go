package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// DefaultController is who Tekton's controller is in an installation from its own manifests.
const DefaultController = "system:serviceaccount:tekton-pipelines:tekton-pipelines-controller"

// ControllerKey is the key of the ConfigMap, and with it the file beside the configuration's, that names
// Tekton's controller. It is no field of the configuration because the API server has to know the name as well:
// kustomize writes the value of this key into match conditions and policies (config/transformers/controller),
// and cannot look into the text of another.
const ControllerKey = "controller"

// movedControllers is said of a field of earlier versions.
const movedControllers = "has moved: it is the key " + ControllerKey + " of the ConfigMap indelible-config, beside " +
	"config.yaml, from which config/transformers/controller brings it wherever it is needed; delete it here"

// readControllers reads the file beside the configuration's. One that is not there means the default: a ConfigMap put
// together by hand must not take the webhook away.
func readControllers(path string) ([]byte, error) {
	data, err := os.ReadFile(filepath.Join(filepath.Dir(path), ControllerKey))
	if errors.Is(err, fs.ErrNotExist) {
		return []byte(DefaultController), nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the name of Tekton's controller: %w", err)
	}
	return data, nil
}

// ParseControllers reads names that are separated by white space. There must be one at least: without, Tekton
// itself could complete no TaskRun. They are written between single quotes in expressions of CEL, and must stay
// there.
func ParseControllers(data string) ([]string, error) {
	names := strings.Fields(data)
	if len(names) == 0 {
		return nil, fmt.Errorf("%s must be a user name, such as %s; several are separated by a space",
			ControllerKey, DefaultController)
	}
	for i, name := range names {
		if strings.ContainsAny(name, `'"\`) {
			return nil, fmt.Errorf("%s must not contain quotes or backslashes", ControllerKey)
		}
		if slices.Contains(names[:i], name) {
			return nil, fmt.Errorf("%s has %s twice", ControllerKey, name)
		}
	}
	return names, nil
}
