package certs

import (
	"context"
	"crypto/tls"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr/testr"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
)

const day = 24 * time.Hour

// birth is when the tests begin.
var birth = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// names are what the API server, and people, call the webhook.
var names = []string{
	"indelible-webhook.indelible-system.svc",
	"indelible-webhook.indelible-system.svc.cluster.local",
	"indelible-webhook.indelible-system",
	"indelible-webhook",
}

// installation is what replicas share.
type installation struct {
	*fake.Clientset
	now time.Time
}

func newInstallation() *installation {
	// Not NewClientset: its managed fields, which no test reads, take as long as the rest of ten
	// years of rotation.
	return &installation{now: birth, Clientset: fake.NewSimpleClientset(
		configuration("indelible-inject", "inject.indelible.dev"),
		configuration("indelible-guard", "guard.indelible.dev", "carry-over.indelible.dev"),
	)}
}

func configuration(name string, webhooks ...string) *admissionv1.MutatingWebhookConfiguration {
	c := &admissionv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: name}}
	for _, w := range webhooks {
		path, policy := "/"+strings.TrimSuffix(w, ".indelible.dev"), admissionv1.Ignore
		if w == "guard.indelible.dev" {
			policy = admissionv1.Fail
		}
		c.Webhooks = append(c.Webhooks, admissionv1.MutatingWebhook{Name: w, FailurePolicy: &policy,
			ClientConfig: admissionv1.WebhookClientConfig{
				Service: &admissionv1.ServiceReference{Namespace: "indelible-system", Name: "indelible-webhook",
					Path: &path},
			}})
	}
	return c
}

func (i *installation) replica(t *testing.T, life Lifetimes) *Managed {
	t.Helper()
	m, err := NewManaged(ManagedOptions{
		Client: i, Namespace: "indelible-system", Secret: "indelible-webhook-certs", Service: "indelible-webhook",
		Configurations: []string{"indelible-inject", "indelible-guard"},
		Keyed:          []string{"/inject", "/guard", "/carry-over"},
		Lifetimes:      life,
		Now:            func() time.Time { return i.now },
		Log:            testr.NewWithOptions(t, testr.Options{Verbosity: -1}),
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func (i *installation) secret(t *testing.T) *corev1.Secret {
	t.Helper()
	s, err := i.CoreV1().Secrets("indelible-system").Get(context.Background(), "indelible-webhook-certs",
		metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (i *installation) storeSecret(t *testing.T, data map[string][]byte) {
	t.Helper()
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "indelible-system", Name: "indelible-webhook-certs"},
		Data: data}
	if err := i.Tracker().Add(s); err != nil {
		t.Fatal(err)
	}
}

// bundles are the caBundles an API server sees now, by webhook.
func (i *installation) bundles(t *testing.T) map[string]string {
	t.Helper()
	list, err := i.AdmissionregistrationV1().MutatingWebhookConfigurations().List(context.Background(),
		metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]string{}
	for _, c := range list.Items {
		for _, w := range c.Webhooks {
			seen[w.Name] = string(w.ClientConfig.CABundle)
		}
	}
	return seen
}

// paths are those an API server calls now, by webhook.
func (i *installation) paths(t *testing.T) map[string]string {
	t.Helper()
	list, err := i.AdmissionregistrationV1().MutatingWebhookConfigurations().List(context.Background(),
		metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]string{}
	for _, c := range list.Items {
		for _, w := range c.Webhooks {
			seen[w.Name] = *w.ClientConfig.Service.Path
		}
	}
	return seen
}

func served(t *testing.T, m *Managed) *tls.Certificate {
	t.Helper()
	cert, err := m.GetCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func mustRound(t *testing.T, m *Managed) time.Time {
	t.Helper()
	next, err := m.round(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return next
}

// must unwraps what cannot fail.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
