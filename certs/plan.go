package certs

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Lifetimes are validity periods.
type Lifetimes struct {
	// CA is the validity of a CA, Serving that of a serving certificate.
	CA, Serving time.Duration
	// Overlap is how long a new CA is published before it signs. It must exceed the time an API
	// server takes to see a changed webhook configuration, and be shorter than a third of CA.
	Overlap time.Duration
}

// DefaultLifetimes returns a year for CAs and 90 days for serving certificates. Rotations then
// happen several times in the life of an installation and are routine, and an installation that was
// off for a month returns with a certificate that its API servers still trust.
func DefaultLifetimes() Lifetimes {
	const day = 24 * time.Hour
	return Lifetimes{CA: 365 * day, Serving: 90 * day, Overlap: time.Hour}
}

func (l Lifetimes) validate() error {
	if l.CA <= 0 || l.Serving <= 0 || l.Overlap <= 0 {
		return errors.New("certificate lifetimes must be positive")
	}
	if l.Overlap >= l.CA/3 {
		return fmt.Errorf("overlap %s must be shorter than a third of the CA's life of %s", l.Overlap, l.CA)
	}
	return nil
}

// Kinds of certificates, as in the metrics' label "certificate".
const (
	kindCA      = "ca"
	kindServing = "serving"
)

// rotation is one change made by plan.
type rotation struct{ kind, why string }

// plan implements rotation. From the Secret's content and the time it computes what the Secret
// should contain, what changed (usually nothing), and when to check again. It depends on its
// arguments only, except for the random keys.
func plan(c content, now time.Time, life Lifetimes, names []string) (content, []rotation, time.Time, error) {
	p := planner{content: c, now: now, life: life, names: names}
	for _, step := range []func() error{p.forgetExpired, p.makeNext, p.promote, p.ensureSigner, p.renewServing} {
		if err := step(); err != nil {
			return c, nil, time.Time{}, err
		}
	}
	return p.content, p.done, p.nextCheck(), nil
}

type planner struct {
	content
	now   time.Time
	life  Lifetimes
	names []string
	done  []rotation
}

func (p *planner) rotated(kind, why string) { p.done = append(p.done, rotation{kind, why}) }

// forgetExpired drops expired CAs; whatever they signed has expired, too.
func (p *planner) forgetExpired() error {
	kept := make([]*x509.Certificate, 0, len(p.bundle)+1)
	for _, ca := range p.bundle {
		if p.now.Before(ca.NotAfter) {
			kept = append(kept, ca)
		} else {
			p.rotated(kindCA, "an expired CA left the bundle")
		}
	}
	p.bundle = kept
	if p.signer.exists() && !p.now.Before(p.signer.cert.NotAfter) {
		p.signer = pair{}
	}
	if p.next.exists() && !p.now.Before(p.next.cert.NotAfter) {
		p.next, p.nextPublished = pair{}, time.Time{}
	}
	return nil
}

// makeNext makes the next CA at two thirds of the signer's life, which leaves a third for
// publishing it.
func (p *planner) makeNext() error {
	if !p.signer.exists() || p.next.exists() || p.now.Before(twoThirds(p.signer.cert)) {
		return nil
	}
	next, err := newCA(p.now, p.life.CA)
	if err != nil {
		return err
	}
	p.next, p.nextPublished = next, time.Time{}
	p.rotated(kindCA, "two thirds of the CA's life are over: publishing its successor")
	return nil
}

// promote makes the next CA the signer once it has been published for the overlap period.
func (p *planner) promote() error {
	if p.next.exists() && !p.nextPublished.IsZero() && !p.now.Before(p.nextPublished.Add(p.life.Overlap)) {
		p.signer, p.next, p.nextPublished = p.next, pair{}, time.Time{}
		p.rotated(kindCA, "the new CA has been published for the overlap period: it signs from now on")
	}
	return nil
}

// ensureSigner provides a signing CA at the first start, with a broken Secret, or after a long
// shutdown. A published CA is better than an unknown one. It also ensures that signer and next are
// in the bundle, on which the other steps rely.
func (p *planner) ensureSigner() error {
	switch {
	case p.signer.exists():
	case p.next.exists():
		p.signer, p.next, p.nextPublished = p.next, pair{}, time.Time{}
		p.rotated(kindCA, "no CA that can sign: the published successor signs at once")
	default:
		ca, err := newCA(p.now, p.life.CA)
		if err != nil {
			return err
		}
		p.signer = ca
		p.rotated(kindCA, "no CA that can sign: made a new one")
	}
	for _, ca := range []pair{p.signer, p.next} {
		if ca.exists() && !slices.ContainsFunc(p.bundle, ca.cert.Equal) {
			p.bundle = append(p.bundle, ca.cert)
			if len(p.done) == 0 {
				p.rotated(kindCA, "the bundle lacked a CA")
			}
		}
	}
	return nil
}

// renewServing renews the serving certificate at two thirds of its life, or at once if clients that
// trust the bundle would refuse it.
func (p *planner) renewServing() error {
	why := ""
	switch {
	case !p.serving.exists():
		why = "no serving certificate"
	case verify(p.serving.cert, p.bundle, p.names, p.now) != nil:
		why = "the serving certificate does not fit the bundle or the names served"
	case !p.now.Before(twoThirds(p.serving.cert)):
		why = "two thirds of the serving certificate's life are over"
	default:
		return nil
	}
	serving, err := newServing(p.now, p.life.Serving, p.names, p.signer)
	if err != nil {
		return err
	}
	p.serving = serving
	p.rotated(kindServing, why)
	return nil
}

// nextCheck is the time of the next step, if nobody changes the Secret.
func (p *planner) nextCheck() time.Time {
	at := twoThirds(p.serving.cert)
	earlier := func(t time.Time) {
		if t.Before(at) {
			at = t
		}
	}
	switch {
	case !p.next.exists():
		earlier(twoThirds(p.signer.cert))
	case p.nextPublished.IsZero():
		earlier(p.now)
	default:
		if at := p.switchesAt(p.life.Overlap); p.now.Before(at) {
			earlier(at)
		}
		earlier(p.nextPublished.Add(p.life.Overlap))
	}
	for _, ca := range p.bundle {
		earlier(ca.NotAfter)
	}
	return at
}

// published records that every webhook configuration has the bundle. restarted means that one
// lacked it until just now: the overlap starts again. It reports whether anything changed.
func (c *content) published(now time.Time, restarted bool) bool {
	if !c.next.exists() || (!c.nextPublished.IsZero() && !restarted) {
		return false
	}
	// The Secret keeps whole seconds; round up, so that the overlap is never shortened.
	c.nextPublished = now.Add(time.Second - 1).Truncate(time.Second)
	return true
}

func twoThirds(cert *x509.Certificate) time.Time {
	return cert.NotBefore.Add(cert.NotAfter.Sub(cert.NotBefore) / 3 * 2)
}

// verify returns why a client that trusts bundle would refuse cert for one of names at that time.
func verify(cert *x509.Certificate, bundle []*x509.Certificate, names []string, now time.Time) error {
	roots := x509.NewCertPool()
	for _, ca := range bundle {
		roots.AddCert(ca)
	}
	for _, name := range names {
		_, err := cert.Verify(x509.VerifyOptions{
			DNSName:     name,
			Roots:       roots,
			CurrentTime: now,
			KeyUsages:   []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		})
		if err != nil {
			return fmt.Errorf("certificate for %s: %w", name, err)
		}
	}
	return nil
}
