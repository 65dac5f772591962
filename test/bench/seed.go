package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/indelible-ci/indelible/pkg/archive/run"
)

// errNeedsEtcd: the measurement is possible on the local cluster only.
var errNeedsEtcd = errors.New("this many runs can only be made on the local cluster of test/cluster")

func (b *bench) prefix(resource string) string {
	return "/registry/tekton.dev/" + resource + "/" + b.namespace + "/"
}

// seed writes n TaskRuns into etcd, and waits until the API server knows them.
func (b *bench) seed(ctx context.Context, n int, each func(i int) made) error {
	if b.etcd == nil {
		return errNeedsEtcd
	}
	write := func(begin, end int) error {
		err := b.etcd.write(ctx, end-begin, func(i int) (string, []byte, error) {
			m := each(begin + i)
			m.namespace, m.class = b.namespace, b.class
			object, err := m.object()
			return b.prefix("taskruns") + m.name, object, err
		})
		if err != nil {
			return fmt.Errorf("writing %d runs: %w", end-begin, err)
		}
		return nil
	}
	if err := errors.Join(write(0, n-1), write(n-1, n)); err != nil {
		return err
	}
	last := each(n - 1).name
	return b.until(ctx, "the API server knows "+last, func() (bool, error) {
		// Listed from the API server's caches: watches know what is there. It has one cache per
		// version, and has Tekton's webhook convert for the second, which takes longer and would be
		// counted as the archiver's.
		options := metav1.GetOptions{ResourceVersion: "0"}
		_, err := b.cluster.Tekton.TektonV1().TaskRuns(b.namespace).Get(ctx, last, options)
		_, old := b.cluster.Tekton.TektonV1beta1().TaskRuns(b.namespace).Get(ctx, last, options)
		return err == nil && old == nil, nil
	})
}

// removeRuns deletes all runs of the bench, removing their finalizers.
func (b *bench) removeRuns(ctx context.Context) error {
	if b.etcd != nil {
		if err := errors.Join(b.etcd.deleteBelow(ctx, b.prefix("pipelineruns")),
			b.etcd.deleteBelow(ctx, b.prefix("taskruns"))); err != nil {
			return err
		}
		return b.until(ctx, "the API server has forgotten the runs", func() (bool, error) {
			list, err := b.cluster.Tekton.TektonV1().TaskRuns(b.namespace).List(ctx, metav1.ListOptions{Limit: 1})
			return err == nil && len(list.Items) == 0, nil
		})
	}
	var resources []string
	for _, r := range run.Resources {
		resources = append(resources, r.Resource+"."+r.Group)
	}
	for _, resource := range resources {
		names, err := b.cluster.Kubectl(ctx, "get", resource, "-n", b.namespace, "-o", "name")
		if err != nil {
			return err
		}
		if names == "" {
			continue
		}
		if _, err := b.cluster.Kubectl(ctx, "patch", resource, "-n", b.namespace, "--all", "--type=merge", "-p",
			`{"metadata":{"finalizers":null}}`); err != nil {
			return err
		}
	}
	return nil
}

// others would also handle or watch the runs of the bench. They catch up with the rest of the
// cluster when they are back.
var others = []struct{ namespace, deployment string }{
	{"tekton-pipelines", "tekton-pipelines-controller"},
	{"tekton-pipelines", "tekton-events-controller"},
	{"indelible-system", "indelible-archiver"},
}

// alone scales them down during do, on the local cluster.
func (b *bench) alone(ctx context.Context, do func() error) (err error) {
	if b.etcd == nil {
		return do()
	}
	for _, d := range others {
		deployments := b.cluster.Kube.AppsV1().Deployments(d.namespace)
		scale, err := deployments.GetScale(ctx, d.deployment, metav1.GetOptions{})
		if err != nil {
			return fmt.Errorf("scaling %s down: %w", d.deployment, err)
		}
		replicas := scale.Spec.Replicas
		defer func() {
			err = errors.Join(err, b.scale(context.WithoutCancel(ctx), d.namespace, d.deployment, replicas))
		}()
		if err := b.scale(ctx, d.namespace, d.deployment, 0); err != nil {
			return err
		}
	}
	return do()
}

func (b *bench) scale(ctx context.Context, namespace, deployment string, replicas int32) error {
	to := &autoscalingv1.Scale{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: deployment},
		Spec: autoscalingv1.ScaleSpec{Replicas: replicas}}
	deployments := b.cluster.Kube.AppsV1().Deployments(namespace)
	if _, err := deployments.UpdateScale(ctx, deployment, to, metav1.UpdateOptions{}); err != nil {
		return fmt.Errorf("scaling %s: %w", deployment, err)
	}
	return b.until(ctx, fmt.Sprintf("%s has %d replicas", deployment, replicas), func() (bool, error) {
		d, err := deployments.Get(ctx, deployment, metav1.GetOptions{})
		return err == nil && d.Status.Replicas == replicas && d.Status.ReadyReplicas == replicas &&
			d.Status.TerminatingReplicas != nil && *d.Status.TerminatingReplicas == 0, nil
	})
}

const (
	// patience bounds a wait.
	patience = 10 * time.Minute
	// interval between checks, long enough not to affect the measurement.
	interval = 100 * time.Millisecond
)

// until calls a condition repeatedly.
func (b *bench) until(ctx context.Context, what string, holds func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		ok, err := holds()
		if err != nil || ok {
			return err
		}
		select {
		case <-time.After(interval):
		case <-ctx.Done():
			return fmt.Errorf("waiting until %s: %w", what, ctx.Err())
		}
	}
}
