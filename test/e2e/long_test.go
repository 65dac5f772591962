//go:build e2e

package e2e

import (
	"context"
	"os"
	"testing"
	"time"
)

// long reports whether the long forms are requested: those behind the figures in
// docs/measurements.md, for which `make test-long` sets INDELIBLE_LONG. The short forms check the
// same with fewer runs.
var long = os.Getenv("INDELIBLE_LONG") != ""

// wholeCatalogue says that TestCatalogue runs all of its entries, as in the long form or with the
// environment variable INDELIBLE_CATALOGUE.
var wholeCatalogue = long || os.Getenv("INDELIBLE_CATALOGUE") != ""

// often is how many times to repeat something: the first number in a long run, otherwise the
// second.
func often(inLong, inShort int) int {
	if long {
		return inLong
	}
	return inShort
}

// newLongPlace is newPlace for what may take longer than a flow.
func newLongPlace(t *testing.T, within time.Duration) *place {
	t.Helper()
	p := newPlace(t)
	p.give(within)
	return p
}

// give sets how much time the place has from now on.
func (p *place) give(within time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	p.t.Cleanup(cancel)
	p.ctx = ctx
}
