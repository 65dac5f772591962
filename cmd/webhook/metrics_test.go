package main

import (
	"os"
	"regexp"
	"slices"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/indelible-ci/indelible/certs"
	"github.com/indelible-ci/indelible/pkg/admission/fit"
	"github.com/indelible-ci/indelible/pkg/admission/guard"
	"github.com/indelible-ci/indelible/pkg/admission/inject"
	"github.com/indelible-ci/indelible/pkg/admission/protect"
	"github.com/indelible-ci/indelible/pkg/admission/selfcheck"
	"github.com/indelible-ci/indelible/pkg/archive/archiver"
	"github.com/indelible-ci/indelible/pkg/archive/query/server"
	"github.com/indelible-ci/indelible/pkg/config"
)

// named is a registerer that notes the metrics' names, also of those without samples.
type named struct {
	prometheus.Registerer
	names []string
}

var fqName = regexp.MustCompile(`fqName: "([a-z_]+)"`)

func (n *named) Register(c prometheus.Collector) error {
	descriptions := make(chan *prometheus.Desc)
	go func() {
		c.Describe(descriptions)
		close(descriptions)
	}()
	for d := range descriptions {
		n.names = append(n.names, fqName.FindStringSubmatch(d.String())[1])
	}
	return nil
}

func (n *named) MustRegister(list ...prometheus.Collector) {
	for _, c := range list {
		_ = n.Register(c)
	}
}

// docs/operations.md has each metric in its table, and no other.
func TestMetricsAreDocumented(t *testing.T) {
	n := &named{}
	certs.NewMetrics(n)
	config.NewMetrics(n)
	inject.NewMetrics(n)
	guard.NewMetrics(n)
	fit.NewMetrics(n)
	protect.NewMetrics(n)
	selfcheck.NewMetrics(n)
	archiver.NewMetrics(n)
	server.NewMetrics(n)
	text, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	for _, m := range regexp.MustCompile("(?m)^\\| `(indelible_[a-z_]+)` \\|").FindAllSubmatch(text, -1) {
		documented = append(documented, string(m[1]))
	}
	slices.Sort(n.names)
	slices.Sort(documented)
	if !slices.Equal(n.names, documented) {
		t.Errorf("metrics\n%q\ndocumented\n%q", n.names, documented)
	}
}
