package certs

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// template is a foreign self-signed certificate.
func template(name string) *x509.Certificate {
	return &x509.Certificate{
		Subject:               pkix.Name{CommonName: name},
		DNSNames:              names,
		NotBefore:             birth.Add(-time.Hour),
		NotAfter:              birth.AddDate(10, 0, 0),
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
}

func TestFiles(t *testing.T) {
	t.Run("serves what is in the folder", func(t *testing.T) {
		dir := t.TempDir()
		own := must(
			issue(&x509.Certificate{DNSNames: names, NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour)},
				pair{}))
		data := must(content{serving: own}.data())
		for _, name := range []string{keyServingCert, keyServingKey} {
			if err := os.WriteFile(filepath.Join(dir, name), data[name], 0o600); err != nil {
				t.Fatal(err)
			}
		}
		registry := prometheus.NewRegistry()
		f, err := NewFiles(dir, NewMetrics(registry))
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Ready(); err != nil {
			t.Errorf("not ready: %v", err)
		}
		if got := must(f.GetCertificate(nil)).Leaf; !got.Equal(own.cert) {
			t.Error("serves another certificate")
		}
		want := fmt.Sprintf("indelible_certificate_expiry_timestamp_seconds serving %d", own.cert.NotAfter.Unix())
		if got := gather(t, registry); !slices.Contains(got, want) {
			t.Errorf("the metrics are %q, want %q among them", got, want)
		}
	})
	t.Run("says which folder lacks a certificate", func(t *testing.T) {
		dir := t.TempDir()
		if _, err := NewFiles(dir, nil); err == nil || !strings.Contains(err.Error(), dir) {
			t.Errorf("got %v, want an error that names %s", err, dir)
		}
	})
}

func TestMetrics(t *testing.T) {
	i := newInstallation()
	m := i.replica(t, DefaultLifetimes())
	registry := prometheus.NewRegistry()
	m.Metrics = NewMetrics(registry)
	mustRound(t, m)
	// 2026-11-20 12:00 UTC and 365 or 90 days.
	want := []string{
		"indelible_certificate_expiry_timestamp_seconds ca 1826712000",
		"indelible_certificate_expiry_timestamp_seconds serving 1802952000",
		"indelible_certificate_rotations_total ca 1",
		"indelible_certificate_rotations_total serving 1",
	}
	if got := gather(t, registry); !slices.Equal(got, want) {
		t.Errorf("the metrics are %q, want %q", got, want)
	}
}

// gather lists metrics as "name label-value value".
func gather(t *testing.T, registry *prometheus.Registry) []string {
	t.Helper()
	var lines []string
	for _, family := range must(registry.Gather()) {
		for _, m := range family.GetMetric() {
			value := m.GetGauge().GetValue() + m.GetCounter().GetValue()
			lines = append(lines, fmt.Sprintf("%s %s %.0f", family.GetName(), m.GetLabel()[0].GetValue(), value))
		}
	}
	return lines
}
