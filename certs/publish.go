package certs

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// publication is the outcome of publish.
type publication struct {
	changed bool // some webhook configuration lacked the bundle until now
	missing bool // some required webhook configuration does not exist
}

// publish sets the caBundle of every webhook configuration to bundle, and writes keys into keyed
// paths. It writes only differences. A missing configuration is not an error: nothing calls the
// webhook through it, and removing one must not break the others.
func (m *Managed) publish(ctx context.Context, bundle []byte, keys map[string][]string) (publication, error) {
	var state publication
	for _, name := range slices.Concat(m.Configurations, m.Optional) {
		configurations := m.Client.AdmissionregistrationV1().MutatingWebhookConfigurations()
		found, err := configurations.Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			state.missing = state.missing || slices.Contains(m.Configurations, name)
			continue
		}
		if err != nil {
			return state, fmt.Errorf("reading MutatingWebhookConfiguration %s: %w", name, err)
		}
		patch, err := clientPatch(found, bundle, keys)
		if err != nil {
			return state, err
		}
		if patch == nil {
			continue
		}
		if _, err := configurations.Patch(ctx, name, types.StrategicMergePatchType, patch,
			metav1.PatchOptions{}); err != nil {
			return state, fmt.Errorf("writing caBundle and paths of MutatingWebhookConfiguration %s: %w", name, err)
		}
		m.Log.Info("Wrote caBundle and paths", "mutatingWebhookConfiguration", name)
		state.changed = state.changed || !carries(found, bundle)
	}
	return state, nil
}

// carries reports whether every webhook of the configuration has the bundle.
func carries(found *admissionv1.MutatingWebhookConfiguration, bundle []byte) bool {
	return !slices.ContainsFunc(found.Webhooks, func(w admissionv1.MutatingWebhook) bool {
		return !bytes.Equal(w.ClientConfig.CABundle, bundle)
	})
}

// clientPatch returns the strategic merge patch that sets bundle and keyed path of every webhook in
// the configuration, nil if nothing differs. It merges webhooks by name and so does not disturb
// concurrent changes of other fields.
func clientPatch(
	found *admissionv1.MutatingWebhookConfiguration, bundle []byte, keys map[string][]string,
) ([]byte, error) {
	var webhooks []map[string]any
	for _, w := range found.Webhooks {
		client := map[string]any{}
		if !bytes.Equal(w.ClientConfig.CABundle, bundle) {
			client["caBundle"] = bundle
		}
		if service := w.ClientConfig.Service; service != nil && service.Path != nil {
			if path := keyedPath(w, keys); path != *service.Path {
				client["service"] = map[string]any{"path": path}
			}
		}
		if len(client) > 0 {
			webhooks = append(webhooks, map[string]any{"name": w.Name, "clientConfig": client})
		}
	}
	if webhooks == nil {
		return nil, nil
	}
	patch, err := json.Marshal(map[string]any{"webhooks": webhooks})
	if err != nil {
		return nil, fmt.Errorf("encoding caBundle and paths of %s: %w", found.Name, err)
	}
	return patch, nil
}

// keyedPath returns the path that a webhook should have: with the key to write if its path is
// keyed, but without it where API servers would quote it.
func keyedPath(w admissionv1.MutatingWebhook, keys map[string][]string) string {
	path := *w.ClientConfig.Service.Path
	segments := strings.SplitN(path, "/", 3)
	if len(segments) < 2 {
		return path
	}
	plain := "/" + segments[1]
	switch keys := keys[plain]; {
	case len(keys) == 0:
		return path
	case w.FailurePolicy == nil || *w.FailurePolicy != admissionv1.Ignore:
		return plain
	default:
		return plain + "/" + keys[0]
	}
}
