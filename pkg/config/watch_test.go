package config

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
)

const (
	good  = head + "publisher: {image: one}\n"
	other = head + "publisher: {image: two}\n"
	bad   = head + "publisher: {image: three, delivery: post}\n"
)

// mounted imitates how the kubelet mounts a ConfigMap: config.yaml links to ..data/config.yaml, and
// ..data links to a folder that is replaced as a whole.
type mounted struct {
	t   *testing.T
	dir string
	n   int
}

func (m *mounted) path() string { return filepath.Join(m.dir, "config.yaml") }

func (m *mounted) swap(content string) {
	m.t.Helper()
	m.n++
	folder := filepath.Join(m.dir, "..v"+string(rune('a'+m.n)))
	link := filepath.Join(m.dir, "..data")
	must(m.t, os.Mkdir(folder, 0o755))
	must(m.t, os.WriteFile(filepath.Join(folder, "config.yaml"), []byte(content), 0o600))
	must(m.t, os.Symlink(folder, link+"_tmp"))
	must(m.t, os.Rename(link+"_tmp", link))
	if m.n == 1 {
		must(m.t, os.Symlink(filepath.Join("..data", "config.yaml"), m.path()))
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// gather returns the value of each series, under the name of its metric and the value of its label.
func gather(t *testing.T, g prometheus.Gatherer) map[string]float64 {
	t.Helper()
	families, err := g.Gather()
	must(t, err)
	values := map[string]float64{}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			name := family.GetName()
			for _, label := range m.GetLabel() {
				name += " " + label.GetValue()
			}
			values[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return values
}

func TestWatcher(t *testing.T) {
	m := &mounted{t: t, dir: t.TempDir()}
	m.swap(good)
	var lines []string
	log := funcr.New(func(_, line string) { lines = append(lines, line) }, funcr.Options{})
	registry := prometheus.NewPedanticRegistry()
	w, err := NewWatcher(m.path(), time.Hour, NewMetrics(registry), log)
	must(t, err)

	beside := filepath.Join(m.dir, "controller")
	steps := []struct {
		name              string
		change            func()
		image             string
		ok, failed, gauge float64
		logged            string
	}{
		{"keeps the first one while nothing changes", func() {}, "one", 0, 0, 1, ""},
		{"takes a good edit", func() { m.swap(other) }, "two", 1, 0, 1, "configuration reloaded"},
		{"keeps the last good one on a bad edit", func() { m.swap(bad) }, "two", 1, 1, 0,
			"publisher.delivery must be one of"},
		{"tells of a bad edit once", func() {}, "two", 1, 1, 0, ""},
		{"counts the way back as a reload", func() { m.swap(other) }, "two", 2, 1, 1, "configuration reloaded"},
		{"keeps it when the file is gone", func() { must(t, os.Remove(m.path())) }, "two", 2, 2, 0, "no such file"},
		{"tells of a missing file once", func() {}, "two", 2, 2, 0, ""},
		{"recovers when the same file is back", func() { must(t, os.Symlink("..data/config.yaml", m.path())) },
			"two", 3, 2,
			1,
			"configuration reloaded"},
		{"takes another name of Tekton's controller", func() { must(t, os.WriteFile(beside, []byte("a"), 0o600)) },
			"two", 4,
			2, 1,
			"configuration reloaded"},
		{"keeps it when nobody is named", func() { must(t, os.WriteFile(beside, nil, 0o600)) }, "two", 4, 3, 0,
			"controller must be a user name"},
	}
	for _, s := range steps {
		lines = nil
		s.change()
		w.check()
		if got := w.Current().Publisher.Image; got != s.image {
			t.Errorf("%s: image %s, want %s", s.name, got, s.image)
		}
		want := map[string]float64{
			"indelible_config_reloads_total ok": s.ok, "indelible_config_reloads_total failed": s.failed,
			"indelible_config_last_reload_successful": s.gauge,
		}
		if diff := cmp.Diff(want, gather(t, registry)); diff != "" {
			t.Errorf("%s: %s", s.name, diff)
		}
		if all := strings.Join(lines, "\n"); (s.logged == "") != (all == "") || !strings.Contains(all, s.logged) {
			t.Errorf("%s: logged %q, want %q", s.name, all, s.logged)
		}
	}
	if got := w.Current().Controllers; !slices.Equal(got, []string{"a"}) {
		t.Errorf("controllers %q, want the last good ones", got)
	}
}

func TestNewWatcherForbidsABadFirstFile(t *testing.T) {
	m := &mounted{t: t, dir: t.TempDir()}
	m.swap(bad)
	if _, err := NewWatcher(m.path(), time.Hour, nil, logr.Discard()); err == nil {
		t.Error("allowed")
	}
}

func TestWatchChecksAtEachTickAndEnds(t *testing.T) {
	m := &mounted{t: t, dir: t.TempDir()}
	m.swap(good)
	w, err := NewWatcher(m.path(), time.Hour, nil, logr.Discard())
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ticks, ended := make(chan time.Time), make(chan struct{})
	go func() { defer close(ended); w.watch(ctx, ticks) }()
	m.swap(other)
	ticks <- time.Time{}
	ticks <- time.Time{} // taken only when the first check is over
	if got := w.Current().Publisher.Image; got != "two" {
		t.Errorf("image %s", got)
	}
	cancel()
	<-ended
}
