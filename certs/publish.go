package certs

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// publication is what publish found.
type publication struct {
	changed bool // some webhook configuration did not carry the bundle, and does now
	missing bool // some webhook configuration that is not optional does not exist
}

// publish makes the caBundle of every webhook configuration equal to bundle. Nothing is written where it is
// already. A configuration that does not exist is no error: nobody calls the webhook by it, and an administrator
// who takes out one of them must not lose the others.
func (m *Managed) publish(ctx context.Context, bundle []byte) (publication, error) {
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
		patch, err := bundlePatch(found, bundle)
		if err != nil {
			return state, err
		}
		if patch == nil {
			continue
		}
		if _, err := configurations.Patch(ctx, name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}); err != nil {
			return state, fmt.Errorf("writing caBundle of MutatingWebhookConfiguration %s: %w", name, err)
		}
		m.Log.Info("Wrote caBundle", "mutatingWebhookConfiguration", name)
		state.changed = true
	}
	return state, nil
}

// bundlePatch returns the strategic merge patch that gives every webhook of the configuration that bundle, nil
// if they have it. The patch merges webhooks by name, so it does not disturb a concurrent change of another field.
func bundlePatch(found *admissionv1.MutatingWebhookConfiguration, bundle []byte) ([]byte, error) {
	var webhooks []map[string]any
	for _, w := range found.Webhooks {
		if !bytes.Equal(w.ClientConfig.CABundle, bundle) {
			webhooks = append(webhooks, map[string]any{
				"name":         w.Name,
				"clientConfig": map[string]any{"caBundle": bundle},
			})
		}
	}
	if webhooks == nil {
		return nil, nil
	}
	patch, err := json.Marshal(map[string]any{"webhooks": webhooks})
	if err != nil {
		return nil, fmt.Errorf("encoding the caBundle of %s: %w", found.Name, err)
	}
	return patch, nil
}
