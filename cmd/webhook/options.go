package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/indelible-ci/indelible/certs"
	"github.com/indelible-ci/indelible/pkg/admission/selfcheck"
	"github.com/indelible-ci/indelible/pkg/config"
	"github.com/indelible-ci/indelible/pkg/daemon"
)

// options are the command line.
type options struct {
	config         string
	certDir        string
	callerKeys     bool
	clientCA       string
	clientNames    string
	requireClient  bool
	namespace      string
	pod            string
	kubeconfig     string
	webhookPort    int
	metricsAddress string
	healthAddress  string
	drain          time.Duration
	// reload, selfCheck and checkCerts are how often the configuration, the installation and the
	// certificates are looked at.
	reload, selfCheck, checkCerts time.Duration
	logLevel                      slog.Level
	version                       bool
}

// parseOptions returns flag.ErrHelp for --help. Usage and errors are written to out.
func parseOptions(args []string, out io.Writer) (options, error) {
	o := options{}
	fs := flag.NewFlagSet("webhook", flag.ContinueOnError)
	fs.SetOutput(out)
	fs.StringVar(&o.config, "config", "/etc/indelible/config.yaml", "configuration `file`; reloaded when it changes")
	fs.StringVar(&o.certDir, "cert-dir", "",
		"`folder` with tls.crt and tls.key maintained elsewhere; empty: the webhook manages its certificates itself")
	fs.BoolVar(&o.callerKeys, "caller-keys", true,
		"identify API servers by keys that the webhook writes into the paths "+
			"of its webhook configurations; without -cert-dir only")
	fs.StringVar(&o.clientCA, "client-ca", "",
		"`file` with the CAs of API servers' client certificates; empty: none are requested")
	fs.StringVar(&o.clientNames, "client-names", "",
		"comma-separated `names` of which a client certificate must have one (common name or DNS name)")
	fs.BoolVar(&o.requireClient, "require-client-certificate", false, "reject callers without such a certificate")
	fs.StringVar(&o.namespace, "namespace", daemon.Namespace(),
		"`namespace` the webhook runs in; default from POD_NAMESPACE")
	fs.StringVar(&o.pod, "pod", os.Getenv("POD_NAME"),
		"`name` of the Pod it runs in, for events; default from POD_NAME; empty: no events about itself")
	fs.StringVar(&o.kubeconfig, "kubeconfig", "", "kubeconfig `file`; empty: in-cluster configuration")
	fs.IntVar(&o.webhookPort, "webhook-port", 9443, "`port` for admission requests")
	fs.StringVar(&o.metricsAddress, "metrics-address", ":8080", "`address` of /metrics")
	fs.StringVar(&o.healthAddress, "health-address", ":8081", "`address` of /healthz and /readyz")
	fs.DurationVar(&o.drain, "drain", 5*time.Second,
		"how long to serve after SIGTERM while unready, until endpoints no longer lead here")
	fs.DurationVar(&o.reload, "reload-interval", config.ReloadInterval, "how often to read the configuration file")
	fs.DurationVar(&o.selfCheck, "self-check-interval", selfcheck.Interval,
		"how often to check that the right to publish is guarded; the longest time for which it is not reported if it is not")
	fs.DurationVar(&o.checkCerts, "certificate-interval", certs.Interval,
		"how often to check the managed certificates; the longest time for which a replaced one is served")
	fs.TextVar(&o.logLevel, "log-level", slog.LevelInfo, "minimum `level` logged: debug, info, warn, error")
	fs.BoolVar(&o.version, "version", false, "print the version")
	fs.Usage = func() {
		_, _ = fmt.Fprintln(out, "Serves Indelible's admission webhooks.\n"+
			"With the first argument `preflight` it compares manifests with a cluster instead.\n\nExit codes: 0 stopped by a "+
			"signal, 1 failed, 2 wrong command line.\n\nFlags:")
		fs.PrintDefaults()
	}
	if err := fs.Parse(args); err != nil {
		return options{}, err
	}
	if fs.NArg() > 0 {
		err := fmt.Errorf("unexpected argument %q", fs.Arg(0))
		_, _ = fmt.Fprintln(out, err)
		return options{}, err
	}
	if err := daemon.AtLeast(time.Second, map[string]time.Duration{
		"reload-interval": o.reload, "self-check-interval": o.selfCheck, "certificate-interval": o.checkCerts,
	}); err != nil {
		_, _ = fmt.Fprintln(out, err)
		return options{}, err
	}
	if (o.clientCA == "") != (o.clientNames == "") || o.requireClient && o.clientCA == "" {
		err := errors.New("client certificates need both -client-ca and -client-names")
		_, _ = fmt.Fprintln(out, err)
		return options{}, err
	}
	return o, nil
}
