package preflight

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"github.com/indelible-ci/indelible/pkg/config"
)

// A Place is an object that names Tekton's controller.
type Place struct {
	// Object is "kind/name".
	Object string
	// Users are the names in it, one list per place.
	Users [][]string
}

// Installation is the relevant part of the manifests to be applied.
type Installation struct {
	// Controllers are the users in the ConfigMap, which the webhook uses.
	Controllers []string
	// Places are the objects that the API server evaluates, in the order of the manifests.
	Places []Place
}

// configMap holds the configuration; guard is the one webhook configuration that names the
// controller.
const (
	configMap = "indelible-config"
	guard     = "indelible-guard"
)

// ReadManifests reads the output of `kubectl kustomize`.
func ReadManifests(from io.Reader) (Installation, error) {
	i, seen := Installation{}, false
	for documents := utilyaml.NewYAMLReader(bufio.NewReader(from)); ; {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return i, fmt.Errorf("read manifests: %w", err)
		}
		var head metav1.PartialObjectMetadata
		if err := yaml.Unmarshal(document, &head); err != nil {
			return i, fmt.Errorf("read manifests: %w", err)
		}
		object := head.Kind + "/" + head.Name
		switch {
		case object == "ConfigMap/"+configMap:
			seen = true
			err = i.readConfigMap(document)
		case object == "MutatingWebhookConfiguration/"+guard:
			var c admissionv1.MutatingWebhookConfiguration
			err = yaml.Unmarshal(document, &c)
			i.Places = append(i.Places, Place{object, NamedByGuard(&c)})
		case head.Kind == "ValidatingAdmissionPolicy":
			var p admissionv1.ValidatingAdmissionPolicy
			err = yaml.Unmarshal(document, &p)
			i.Places = append(i.Places, Place{object, NamedByPolicy(&p)})
		}
		if err != nil {
			return i, fmt.Errorf("read %s: %w", object, err)
		}
	}
	if !seen {
		return i, errors.New("the manifests have no ConfigMap " + configMap)
	}
	return i, nil
}

func (i *Installation) readConfigMap(document []byte) error {
	var c corev1.ConfigMap
	if err := yaml.Unmarshal(document, &c); err != nil {
		return err
	}
	value, ok := c.Data[config.ControllerKey]
	if !ok {
		value = config.DefaultController
	}
	var err error
	i.Controllers, err = config.ParseControllers(value)
	return err
}

// SameUsers reports whether two lists name the same users, in any order.
func SameUsers(a, b []string) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(slices.Compact(a), slices.Compact(b))
}
