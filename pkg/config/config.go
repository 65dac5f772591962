// Package config is the configuration file of Indelible: its fields and their defaults, how it is read and
// checked, and how it is watched while a program runs.
//
// The file is versioned (config.indelible.dev/v1alpha1, kind Configuration) and read strictly: a field that is
// unknown, has a wrong type or a value out of bounds is an error that names the field and what it may be, and all
// errors of a file are reported together. A misspelt limit that silently meant the default would be found by the
// first run that loses its results.
package config

import (
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/indelible-ci/indelible/pkg/result"
)

// What a configuration file says of itself.
const (
	APIVersion = "config.indelible.dev/v1alpha1"
	Kind       = "Configuration"
)

// Ways to bring the publisher into a Pod; see DESIGN, D2.
const (
	DeliveryAuto          = "auto"
	DeliveryImageVolume   = "image-volume"
	DeliveryInitContainer = "init-container"
)

// Bounds of what a file may say.
const (
	// MaxObjectLimit is 1.45 MiB, rounded up to a byte as Kubernetes quantities are. etcd refuses a request over
	// 1.5 MiB, and the request is larger than the object.
	MaxObjectLimit = 1520436
	// MaxPublishTimeout keeps a step from waiting half an hour for an API server that does not come back.
	MaxPublishTimeout = 30 * time.Minute
)

// Configuration is a file that has been read and checked.
type Configuration struct {
	// Controllers are the users who may write any TaskRun status: Tekton's controller. They are read from a
	// file of their own, ControllerKey.
	Controllers []string
	// Limits bound results, in bytes.
	Limits result.Limits
	// Publisher is how results are published.
	Publisher Publisher
	// Archive is where finished runs go.
	Archive Archive
	// API is where they are read.
	API API
}

// Publisher configures what injection adds to a Pod.
type Publisher struct {
	// Image holds the publisher. It has no default: it belongs to the installation.
	Image string
	// PullPolicy is that image's.
	PullPolicy corev1.PullPolicy
	// Delivery is one of the Delivery constants.
	Delivery string
	// Timeout bounds publishing after a step has ended.
	Timeout time.Duration
	// Server is the API server's host and port as the pods of TaskRuns reach it, "" for the address that the
	// kubelet tells the webhook's own pod.
	Server string
}

// Default returns what a file that sets nothing but the image means, without the image.
func Default() *Configuration {
	return &Configuration{
		Controllers: []string{DefaultController},
		Limits:      result.DefaultLimits(),
		Publisher: Publisher{
			PullPolicy: corev1.PullIfNotPresent,
			Delivery:   DeliveryAuto,
			Timeout:    2 * time.Minute,
		},
		Archive: Archive{
			Cluster: "default",
			Store:   "file:///var/lib/indelible/archive",
			Index:   "sqlite:///var/lib/indelible/index.db",
			Logs:    LogsFollow,
			Streams: 200,
		},
	}
}
