package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"k8s.io/client-go/kubernetes"

	"github.com/indelible-ci/indelible/pkg/daemon"
	"github.com/indelible-ci/indelible/pkg/preflight"
)

// preflightCommand is the first argument that compares manifests with a cluster instead of serving.
const preflightCommand = "preflight"

// runPreflight compares rendered manifests with a cluster, before anything is applied. It returns
// the exit code.
func runPreflight(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	fs := flag.NewFlagSet("webhook "+preflightCommand, flag.ContinueOnError)
	fs.SetOutput(stderr)
	kubeconfig := fs.String("kubeconfig", "", "kubeconfig `file`; empty: in-cluster configuration")
	manifests := fs.String("manifests", "-",
		"`file` with the manifests to be applied, as printed by kubectl kustomize; - is standard input")
	fs.Usage = func() {
		_, _ = fmt.Fprintln(stderr, "Compares manifests with a cluster, before they are applied.\n\n"+
			"  kubectl kustomize config/default | webhook preflight --kubeconfig FILE\n\n"+
			"Exit codes: 0 they fit (warnings are printed), 1 they do not or it could not be determined, "+
			"2 wrong command line.\n\nFlags:")
		fs.PrintDefaults()
	}
	if err := fs.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil || fs.NArg() > 0 {
		return 2
	}
	report, err := comparison(ctx, *kubeconfig, *manifests)
	for _, warning := range report.Warnings {
		_, _ = fmt.Fprintln(stderr, "warning: "+warning)
	}
	for _, refusal := range report.Refusals {
		_, _ = fmt.Fprintln(stderr, "refused: "+refusal)
	}
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "preflight: "+err.Error())
	}
	if err != nil || len(report.Refusals) > 0 {
		return 1
	}
	_, _ = fmt.Fprintln(stdout, "preflight: the cluster and the manifests fit")
	return 0
}

func comparison(ctx context.Context, kubeconfig, manifests string) (preflight.Report, error) {
	from := io.Reader(os.Stdin)
	if manifests != "-" {
		file, err := os.Open(manifests)
		if err != nil {
			return preflight.Report{}, err
		}
		defer func() { _ = file.Close() }()
		from = file
	}
	installation, err := preflight.ReadManifests(from)
	if err != nil {
		return preflight.Report{}, err
	}
	cluster, err := daemon.Cluster(kubeconfig, "indelible-preflight/"+version)
	if err != nil {
		return preflight.Report{}, err
	}
	client, err := kubernetes.NewForConfig(cluster)
	if err != nil {
		return preflight.Report{}, fmt.Errorf("making a client: %w", err)
	}
	return preflight.Check(ctx, client, installation)
}
