package daemon

import (
	"fmt"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// Cluster finds the cluster by a kubeconfig file, or if its name is empty, as the pod that the program runs in. There is no limit of
// our own on requests: the API server's priority and fairness knows better, and a queue here would only hide from it what there is
// to do, and eat a request's time.
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
