package certs

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

const (
	// Interval is how often a replica checks when nothing is due. It bounds how long a replica serves
	// a certificate that another one has replaced, and how long a replaced webhook configuration
	// lacks its caBundle: a small part of the two minutes for which publishers retry.
	Interval = 10 * time.Second
	// retry is how soon to check again after an error, and while a webhook configuration is
	// missing.
	retry = 2 * time.Second
	// attempts bounds the conflicts with other replicas in one round. With two replicas, the second
	// finds nothing left to do.
	attempts = 5
)

// ManagedOptions configure Managed.
type ManagedOptions struct {
	Client kubernetes.Interface
	// Namespace and Secret identify the Secret; Service is the Service that the certificate is for.
	Namespace, Secret, Service string
	// Configurations are the MutatingWebhookConfigurations that get the bundle as their caBundle. A
	// missing one is skipped until it exists.
	Configurations []string
	// Optional are configurations that may be missing for good: they are not checked more often
	// while they are.
	Optional []string
	// Keyed are the paths that get a key as their second segment (keys.go). Their webhooks must
	// have failure policy Ignore: with Fail, API servers quote the URL of a failed call to the
	// requester.
	Keyed []string
	// Interval between checks; 0 means the constant Interval.
	Interval time.Duration
	// Lifetimes defaults to DefaultLifetimes.
	Lifetimes Lifetimes
	// Now defaults to time.Now.
	Now     func() time.Time
	Metrics *Metrics
	Log     logr.Logger
}

// Managed keeps the certificates of the webhook in a Secret, together with the other replicas.
type Managed struct {
	ManagedOptions
	names []string

	// mu guards what TLS handshakes and the readiness probe read while Run writes.
	mu      sync.RWMutex
	current *tls.Certificate
	keys    map[string][]string // valid keys by path
	ready   bool                // a current certificate has been published once
	lastErr error
}

// NewManaged returns a Managed that has no certificate until Run has provided one.
func NewManaged(o ManagedOptions) (*Managed, error) {
	if o.Lifetimes == (Lifetimes{}) {
		o.Lifetimes = DefaultLifetimes()
	}
	if err := o.Lifetimes.validate(); err != nil {
		return nil, err
	}
	if o.Interval == 0 {
		o.Interval = Interval
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Managed{ManagedOptions: o, names: serviceNames(o.Service, o.Namespace)}, nil
}

// serviceNames returns the DNS names of a Service. The API server uses the one ending in .svc.
func serviceNames(service, namespace string) []string {
	inNamespace := service + "." + namespace
	return []string{inNamespace + ".svc", inNamespace + ".svc.cluster.local", inNamespace, service}
}

// Run maintains the certificates until ctx ends. Errors are logged and retried; the current
// certificate stays in use.
func (m *Managed) Run(ctx context.Context) error {
	for {
		wait := retry
		next, err := m.round(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			m.Log.Error(err, "Could not maintain the serving certificate; retrying", "in", retry.String())
		} else {
			wait = min(m.Interval, max(retry, next.Sub(m.Now())))
		}
		m.note(err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

// round updates Secret, webhook configurations and current certificate, in this order, and returns
// when to do so again.
func (m *Managed) round(ctx context.Context) (time.Time, error) {
	c, next, err := m.syncSecret(ctx)
	if err != nil {
		return time.Time{}, err
	}
	keys, err := m.keysFor(c)
	if err != nil {
		return time.Time{}, err
	}
	state, err := m.publish(ctx, c.bundlePEM(), keys)
	if err != nil {
		if m.lacksValid() {
			// The current certificate is of no use; some API server may know this CA from before.
			m.use(c, keys, false)
		}
		return time.Time{}, err
	}
	if err := m.notePublished(ctx, c, state.changed); err != nil {
		return time.Time{}, err
	}
	// Only now: API servers must know the CA before they see the certificate.
	m.use(c, keys, true)
	if state.missing {
		return m.Now().Add(retry), nil
	}
	return next, nil
}

// syncSecret makes the Secret equal to plan's result, which it returns.
func (m *Managed) syncSecret(ctx context.Context) (content, time.Time, error) {
	for range attempts {
		secret, err := m.Client.CoreV1().Secrets(m.Namespace).Get(ctx, m.Secret, metav1.GetOptions{})
		exists := true
		if apierrors.IsNotFound(err) {
			exists = false
			secret = &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: m.Namespace, Name: m.Secret}}
		} else if err != nil {
			return content{}, time.Time{}, fmt.Errorf("reading Secret %s/%s: %w", m.Namespace, m.Secret, err)
		}
		found, broken := parse(secret.Data)
		if broken != nil {
			m.Log.Info("Replacing the parts of the Secret that are broken or not ours",
				"namespace", m.Namespace, "secret", m.Secret, "why", broken.Error())
		}
		c, done, next, err := plan(found, m.Now(), m.Lifetimes, m.names)
		if err != nil {
			return content{}, time.Time{}, err
		}
		if broken == nil && len(done) == 0 {
			return c, next, nil
		}
		err = m.write(ctx, secret, exists, c)
		if apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) {
			continue
		}
		if err != nil {
			return content{}, time.Time{}, err
		}
		for _, r := range done {
			m.Log.Info("Rotated", "certificate", r.kind, "why", r.why)
			m.Metrics.rotated(r.kind)
		}
		return c, next, nil
	}
	return content{}, time.Time{}, fmt.Errorf("writing Secret %s/%s: it was changed concurrently %d times in a row",
		m.Namespace, m.Secret, attempts)
}

// write stores c in the Secret as it was read: the API server refuses if it has changed since.
func (m *Managed) write(ctx context.Context, secret *corev1.Secret, exists bool, c content) error {
	data, err := c.data()
	if err != nil {
		return err
	}
	secret.Data = data
	if exists {
		_, err = m.Client.CoreV1().Secrets(m.Namespace).Update(ctx, secret, metav1.UpdateOptions{})
	} else {
		_, err = m.Client.CoreV1().Secrets(m.Namespace).Create(ctx, secret, metav1.CreateOptions{})
	}
	if err != nil {
		return fmt.Errorf("writing Secret %s/%s: %w", m.Namespace, m.Secret, err)
	}
	return nil
}

// notePublished records since when the next CA is published. If the Secret has changed since c was
// read, the next round does it.
func (m *Managed) notePublished(ctx context.Context, c content, restarted bool) error {
	if !c.published(m.Now(), restarted) {
		return nil
	}
	secret, err := m.Client.CoreV1().Secrets(m.Namespace).Get(ctx, m.Secret, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("reading Secret %s/%s: %w", m.Namespace, m.Secret, err)
	}
	stored, broken := parse(secret.Data)
	if broken != nil || !stored.next.cert.Equal(c.next.cert) || !stored.published(m.Now(), restarted) {
		return nil
	}
	if err := m.write(ctx, secret, true, stored); err != nil && !apierrors.IsConflict(err) {
		return err
	}
	return nil
}

// lacksValid reports whether the current certificate is missing or expired, so that serving with
// any other is better.
func (m *Managed) lacksValid() bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.current == nil || !m.Now().Before(m.current.Leaf.NotAfter)
}

// keysFor returns the valid keys of each path, the one to write first.
func (m *Managed) keysFor(c content) (map[string][]string, error) {
	keys := map[string][]string{}
	for _, path := range m.Keyed {
		var err error
		if keys[path], err = c.keysOf(path, m.Now(), m.Lifetimes.Overlap); err != nil {
			return nil, err
		}
	}
	return keys, nil
}

// Keys returns the keys that identify an API server calling path.
func (m *Managed) Keys(path string) []string {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.keys[path]
}

func (m *Managed) use(c content, keys map[string][]string, published bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.current, m.keys = c.tlsCertificate(), keys
	m.ready = m.ready || published
	m.Metrics.expiry(kindCA, c.signer.cert.NotAfter)
	m.Metrics.expiry(kindServing, c.serving.cert.NotAfter)
}

func (m *Managed) note(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lastErr = err
}

// GetCertificate implements tls.Config.GetCertificate.
func (m *Managed) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.current == nil {
		return nil, errors.New("no serving certificate yet")
	}
	return m.current, nil
}

// Ready returns why API servers cannot be served yet, nil if they can. Once ready, a replica that
// cannot reach the API server stays ready while its certificate is valid: a passing fault must not
// remove the webhook from its Service.
func (m *Managed) Ready() error {
	m.mu.RLock()
	defer m.mu.RUnlock()
	switch {
	case m.current == nil || !m.ready:
		return errors.Join(errors.New("the serving certificate is not published yet"), m.lastErr)
	case !m.Now().Before(m.current.Leaf.NotAfter):
		return errors.Join(errors.New("the serving certificate has expired"), m.lastErr)
	}
	return nil
}
