package certs

import (
	"crypto/x509"
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestTenYearsOfRotation runs two replicas through ten years. Each wakes when it was told to, or
// late by up to lag, so it keeps serving with what the other has replaced. The API server believes
// any bundle that was in a webhook configuration within the last propagation period. The oracle is
// crypto/x509 alone: whatever a replica may serve verifies against whatever the API server may
// believe, at every moment.
func TestTenYearsOfRotation(t *testing.T) {
	tests := map[string]struct {
		life             Lifetimes
		lag, propagation time.Duration
		// keys that changed may be unknown to a replica that is later than a quarter of the overlap
		strangers      bool
		minCAs, maxCAs int // how many CAs there must have been, worked out by hand
	}{
		"keeps every certificate trusted with the default lifetimes": {
			life: DefaultLifetimes(), lag: Interval, propagation: 30 * time.Minute,
			// A new one each two thirds of a year, and an hour: 10 / (2/3) = 15.
			minCAs: 15, maxCAs: 16,
		},
		"keeps every certificate trusted with replicas late by days": {
			life: Lifetimes{CA: 365 * day, Serving: 90 * day, Overlap: 5 * day}, lag: 3 * day,
			propagation: 24 * time.Hour,
			strangers:   true,
			minCAs:      14, maxCAs: 16,
		},
		"keeps every certificate trusted when a serving certificate would outlive its CA": {
			life: Lifetimes{CA: 120 * day, Serving: 600 * day, Overlap: 10 * day}, lag: 2 * day, propagation: 5 * day,
			// Each 80 days, and 10 of overlap, and up to 2 twice: 3652 / 92 to 3652 / 90.
			minCAs: 38, maxCAs: 46,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewSource(1)) // one seed: a failure can be repeated
			s := newSimulation(t, tc.life, tc.propagation)
			s.strangers = tc.strangers
			for end := birth.AddDate(10, 0, 0); s.now.Before(end); {
				s.step(func() time.Duration { return time.Duration(random.Int63n(int64(tc.lag))) })
			}
			if len(s.cas) < tc.minCAs || len(s.cas) > tc.maxCAs {
				t.Errorf("there were %d CAs in ten years, want %d to %d", len(s.cas), tc.minCAs, tc.maxCAs)
			}
			// The last CA may not have come to its key.
			if n := len(s.cas) - len(s.keys); n != 0 && n != 1 {
				t.Errorf("there were %d keys with %d CAs", len(s.keys), len(s.cas))
			}
		})
	}
}

// simulation is an installation and what an API server may believe of it.
type simulation struct {
	*installation
	t           *testing.T
	replicas    []*Managed
	wake        []time.Time
	propagation time.Duration
	believed    []belief
	cas, keys   map[string]bool
	strangers   bool
}

// belief is a bundle with a path, and when it ceased to be the current one (zero: it has not).
type belief struct {
	bundle string
	path   string // of carry-over
	until  time.Time
}

func newSimulation(t *testing.T, life Lifetimes, propagation time.Duration) *simulation {
	s := &simulation{installation: newInstallation(), t: t, propagation: propagation, cas: map[string]bool{},
		keys: map[string]bool{}}
	for range 2 {
		r := s.replica(t, life)
		next := mustRound(t, r)
		s.replicas, s.wake = append(s.replicas, r), append(s.wake, next)
	}
	s.observe()
	return s
}

// step lets the replica that wakes next do its round, and checks what is true right before and
// after it. In between two rounds nothing changes but the time, and a certificate that is valid at
// both ends is valid between them.
func (s *simulation) step(late func() time.Duration) {
	i := 0
	if s.wake[1].Before(s.wake[0]) {
		i = 1
	}
	if s.wake[i].After(s.now) {
		s.now = s.wake[i]
	}
	s.check("before")
	next := mustRound(s.t, s.replicas[i])
	s.observe()
	s.check("after")
	if next.Before(s.now) {
		next = s.now
	}
	s.wake[i] = next.Add(retry + late())
}

// observe notes what the API server is told now. Every webhook must be told the same.
func (s *simulation) observe() {
	told := ""
	for webhook, bundle := range s.bundles(s.t) {
		if told != "" && bundle != told {
			s.t.Fatalf("%s: %s has another bundle than the others", s.now, webhook)
		}
		told = bundle
	}
	last, path := len(s.believed)-1, s.paths(s.t)["carry-over.indelible.dev"]
	if last >= 0 && s.believed[last].bundle == told && s.believed[last].path == path {
		return
	}
	if last >= 0 {
		s.believed[last].until = s.now
	}
	s.believed = append(s.believed, belief{bundle: told, path: path})
	s.keys[path] = true
	for _, ca := range must(parseBundle([]byte(told))) {
		s.cas[ca.SerialNumber.String()] = true
	}
}

func (s *simulation) check(when string) {
	s.t.Helper()
	for len(s.believed) > 1 && s.now.Sub(s.believed[0].until) > s.propagation {
		s.believed = s.believed[1:]
	}
	for n, r := range s.replicas {
		for _, b := range s.believed {
			if err := trusted(served(s.t, r).Leaf, b.bundle, s.now); err != nil {
				s.t.Fatalf("%s, %s its round: replica %d: %v", s.now, when, n, err)
			}
			if _, key, _ := strings.Cut(b.path[1:], "/"); !s.strangers && !slices.Contains(r.Keys("/carry-over"), key) {
				s.t.Fatalf("%s, %s its round: replica %d does not know the path %s", s.now, when, n, b.path)
			}
		}
	}
}

// trusted is how an API server judges a webhook's certificate.
func trusted(leaf *x509.Certificate, bundle string, now time.Time) error {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(bundle)) {
		return fmt.Errorf("no CA in the bundle %q", bundle)
	}
	for _, name := range names {
		_, err := leaf.Verify(x509.VerifyOptions{
			Roots: roots, DNSName: name, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		})
		if err != nil {
			return err
		}
	}
	return nil
}
