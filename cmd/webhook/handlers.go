package main

import (
	"cmp"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/indelible-ci/indelible/pkg/admission"
	"github.com/indelible-ci/indelible/pkg/admission/fit"
	"github.com/indelible-ci/indelible/pkg/admission/guard"
	"github.com/indelible-ci/indelible/pkg/admission/inject"
	"github.com/indelible-ci/indelible/pkg/admission/protect"
	"github.com/indelible-ci/indelible/pkg/config"
)

// handlers makes the handlers. Each reads its part of the current configuration at each request.
func handlers(configured *config.Watcher, c *cluster, registry prometheus.Registerer, source certificates,
	callers admission.Callers,
	guarded func() error, log logr.Logger,
) admission.Options {
	injecting := inject.Options{
		Settings: func() inject.Settings {
			now := configured.Current()
			return inject.Settings{
				Image:      now.Publisher.Image,
				PullPolicy: now.Publisher.PullPolicy,
				Delivery:   inject.Delivery(now.Publisher.Delivery),
				Timeout:    now.Publisher.Timeout,
				Limits:     now.Limits,
				Server:     cmp.Or(now.Publisher.Server, c.server),
			}
		},
		Cluster: inject.NewCapability(c.client.Discovery(), c.client.CoreV1().Nodes(), time.Now),
		Guarded: guarded,
		Metrics: inject.NewMetrics(registry),
		Log:     log.WithName("inject"),
	}
	guarding := guard.Options{
		Settings: func() guard.Settings {
			now := configured.Current()
			return guard.Settings{Controllers: now.Controllers, Limits: now.Limits}
		},
		Pods:          c,
		Events:        c.events.recorder,
		Denials:       c.denials.recorder,
		Authenticated: admission.Authenticated,
		Metrics:       guard.NewMetrics(registry),
		Log:           log.WithName("guard"),
	}
	fitting := fit.Options{
		Settings: func() fit.Settings {
			now := configured.Current()
			return fit.Settings{Controllers: now.Controllers, Limits: now.Limits}
		},
		Events:        c.events.recorder,
		Authenticated: admission.Authenticated,
		Metrics:       fit.NewMetrics(registry),
		Log:           log.WithName("fit"),
	}
	return admission.Options{
		Inject:         inject.New(injecting),
		Guard:          guard.NewGuard(guarding),
		GuardElsewhere: guard.NewGuardElsewhere(guarding),
		CarryOver:      guard.NewCarryOver(guarding),
		Report:         guard.NewReport(guarding),
		Fit:            fit.New(fitting),
		Protect: protect.New(protect.Options{Metrics: protect.NewMetrics(registry),
			Log: log.WithName("protect")}),
		Callers:        callers,
		GetCertificate: source.GetCertificate,
		Log:            log.WithName("admission"),
	}
}
