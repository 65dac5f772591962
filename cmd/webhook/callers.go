package main

import (
	"crypto/x509"
	"fmt"
	"os"
	"strings"

	"github.com/indelible-ci/indelible/pkg/admission"
)

// keyedPaths are the paths of the webhooks that get a key: those with failure policy Ignore.
func keyedPaths() []string {
	return []string{admission.InjectPath, admission.CarryOverPath, admission.ReportPath, admission.FitPath,
		admission.ProtectPath}
}

// newCallers returns how API servers are identified: by the client certificates named on the
// command line, and by keys if the webhook manages its own certificates. The CA file is read once.
func newCallers(o options, source certificates) (admission.Callers, error) {
	callers := admission.Callers{Required: o.requireClient}
	if keys, ok := source.(interface{ Keys(path string) []string }); ok {
		callers.Keys = keys.Keys
	}
	if o.clientCA == "" {
		return callers, nil
	}
	bundle, err := os.ReadFile(o.clientCA)
	if err != nil {
		return callers, fmt.Errorf("reading the CAs of API servers: %w", err)
	}
	callers.ClientCAs = x509.NewCertPool()
	if !callers.ClientCAs.AppendCertsFromPEM(bundle) {
		return callers, fmt.Errorf("no CA of API servers in %s", o.clientCA)
	}
	callers.Names = strings.Split(o.clientNames, ",")
	return callers, nil
}
