package daemon

import (
	"fmt"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// Cluster returns the client configuration from a kubeconfig file or, if its name is empty, from
// the pod the program runs in. There is no client-side rate limit: the API server's priority and
// fairness decides better, and a local queue would hide the load from it and use up a request's
// time.
func Cluster(kubeconfig, userAgent string) (*rest.Config, error) {
	var c *rest.Config
	var err error
	if kubeconfig == "" {
		c, err = rest.InClusterConfig()
	} else {
		c, err = clientcmd.BuildConfigFromFlags("", kubeconfig)
	}
	if err != nil {
		return nil, fmt.Errorf("finding the cluster: %w", err)
	}
	c.UserAgent = userAgent
	c.QPS = -1
	return c, nil
}
