package tekton

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Kubectl runs kubectl with an input and returns what it printed.
type Kubectl func(ctx context.Context, input string, args ...string) (string, error)

// readyWithin bounds the start of Tekton's pods; 20 s are usual.
const readyWithin = 5 * time.Minute

var namespaces = []string{"tekton-pipelines", "tekton-pipelines-resolvers"}

// probe is never stored: the answer to it shows that the API server reaches Tekton's webhook.
const probe = `{"apiVersion":"tekton.dev/v1","kind":"Task","metadata":{"name":"indelible-cluster-probe","namespace":"default"},
"spec":{"steps":[{"name":"probe","image":"busybox:local","script":"true"}]}}`

// Install applies the manifests of a version, which changes nothing when they are there already,
// and waits until Tekton answers. Over another version it installs nothing: Tekton has no way back
// to an older one, and what a test then ran on would be neither.
func Install(ctx context.Context, kubectl Kubectl, version string, manifests Manifests) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	installed, err := kubectl(ctx, "", "get", "configmap", "pipelines-info", "--namespace", namespaces[0],
		"--ignore-not-found", "--output", "jsonpath={.data.version}")
	if err != nil {
		return fmt.Errorf("ask which Tekton is installed: %w", err)
	}
	if installed = strings.TrimSpace(installed); installed != "" && installed != "v"+version {
		return fmt.Errorf("the cluster runs Tekton %s, not v%s: take it down first (make cluster-down)", installed,
			version)
	}
	for _, part := range []string{manifests.Namespaces, manifests.Definitions} {
		if err := apply(ctx, kubectl, part); err != nil {
			return err
		}
	}
	if _, err := kubectl(ctx, manifests.Definitions, "wait", "--for=condition=Established", "--timeout=60s", "-f",
		"-"); err != nil {
		return fmt.Errorf("wait for Tekton's resource definitions: %w", err)
	}
	if err := apply(ctx, kubectl, manifests.Rest); err != nil {
		return err
	}
	for _, namespace := range namespaces {
		_, err := kubectl(ctx, "", "wait", "--for=condition=Available", "deployment", "--all", "--namespace", namespace,
			"--timeout="+readyWithin.String())
		if err != nil {
			return fmt.Errorf("wait for the deployments in %s: %w", namespace, err)
		}
	}
	return answers(ctx, kubectl)
}

// apply is server-side: what Tekton itself fills in later, such as its webhooks' certificates, is
// not ours and stays. In a cluster that starts again, Tekton's webhook checks its ConfigMaps, and
// refuses them until its pod is back.
func apply(ctx context.Context, kubectl Kubectl, manifests string) error {
	return untilAccepted(ctx, "apply Tekton's manifests", func() error {
		_, err := kubectl(ctx, manifests, "apply", "--server-side", "--force-conflicts",
			"--field-manager=indelible-cluster",
			"-f", "-")
		return err
	})
}

// answers waits until Tekton's webhook has its certificate and its service has an endpoint, which
// follow a moment after its deployment is available.
func answers(ctx context.Context, kubectl Kubectl) error {
	return untilAccepted(ctx, "reach Tekton's webhook", func() error {
		_, err := kubectl(ctx, probe, "create", "--dry-run=server", "-f", "-")
		return err
	})
}

// untilAccepted repeats what the API server refuses because a webhook cannot be called, and nothing
// else.
func untilAccepted(ctx context.Context, what string, try func() error) error {
	for {
		err := try()
		if err == nil {
			return nil
		}
		if !strings.Contains(err.Error(), "failed calling webhook") {
			return fmt.Errorf("%s: %w", what, err)
		}
		select {
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("%s: %w", what, err), ctx.Err())
		case <-time.After(time.Second):
		}
	}
}
