package main

import (
	"context"
	"fmt"
	"net"
	"os"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/record"

	"github.com/indelible-ci/indelible/pkg/daemon"
)

// cluster is the handlers' access to the API server. Nothing is cached: the guard needs the live
// Pod, and an informer for a cluster's pods would cost more than one GET per published TaskRun.
type cluster struct {
	client kubernetes.Interface
	// server is the API server's HOST:PORT as the kubelet sets it in every pod, "" outside a
	// cluster.
	server string
	// Denials have a queue and limits of their own: thousands of them must not crowd out the one
	// event that says why a TaskRun failed.
	events, denials *eventStream
}

func newCluster(kubeconfig string) (*cluster, error) {
	base, err := daemon.Cluster(kubeconfig, "indelible-webhook/"+version)
	if err != nil {
		return nil, err
	}
	typed := rest.CopyConfig(base)
	typed.ContentType = "application/vnd.kubernetes.protobuf"
	typed.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	c := &cluster{}
	if host, port := os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT"); host != "" &&
		port != "" {
		c.server = net.JoinHostPort(host, port)
	}
	if c.client, err = kubernetes.NewForConfig(typed); err != nil {
		return nil, fmt.Errorf("making a client: %w", err)
	}
	sink := &typedcorev1.EventSinkImpl{Interface: c.client.CoreV1().Events("")}
	c.events = newEventStream(sink, record.CorrelatorOptions{})
	c.denials = newEventStream(sink, denialBounds)
	return c, nil
}

// GetPod implements guard.PodGetter.
func (c *cluster) GetPod(ctx context.Context, namespace, name string) (*corev1.Pod, error) {
	return c.client.CoreV1().Pods(namespace).Get(ctx, name, metav1.GetOptions{})
}

func (c *cluster) close() {
	c.events.broadcaster.Shutdown()
	c.denials.broadcaster.Shutdown()
}
