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

// DefaultController is the user that Tekton's controller runs as, by Tekton's own manifests.
const DefaultController = "system:serviceaccount:tekton-pipelines:tekton-pipelines-controller"

// ControllerKey is the key of the ConfigMap, and so the name of the file beside the configuration,
// that names Tekton's controller. It is not a field of the configuration because the API server
// needs the name, too: kustomize copies the value of this key into match conditions and policies
// (config/transformers/controller), and cannot read a field inside another value.
const ControllerKey = "controller"

// movedControllers is the message about a field of earlier versions.
const movedControllers = "has moved: it is the key " + ControllerKey + " of the ConfigMap indelible-config, beside " +
	"config.yaml, from which config/transformers/controller brings it wherever it is needed; delete it here"

// readControllers reads the file beside the configuration. If it is missing, the default applies: a
// hand-written ConfigMap must not stop the webhook.
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

// ParseControllers reads names separated by white space. At least one is required; without it
// Tekton could not complete any TaskRun. The names are inserted between single quotes in CEL
// expressions and must not break out of them.
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
