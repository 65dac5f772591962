// Package config defines Indelible's configuration file: its fields and defaults (config.go,
// archive.go), how it is read (parse.go), validated (validate*.go) and watched while a program runs
// (watch.go).
//
// The file is versioned (config.indelible.dev/v1alpha1, kind Configuration) and read strictly: an
// unknown field, a wrong type or a value out of bounds is an error that names the field and its
// allowed values. All errors of a file are reported together. A misspelt limit that silently became
// the default would only be noticed by the first run that loses its results.
package config

import (
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/indelible-ci/indelible/pkg/result"
)

// Type metadata of a configuration file.
const (
	APIVersion = "config.indelible.dev/v1alpha1"
	Kind       = "Configuration"
)

// Ways to deliver the publisher to a Pod; see docs/design.md, D2.
const (
	DeliveryAuto          = "auto"
	DeliveryImageVolume   = "image-volume"
	DeliveryInitContainer = "init-container"
)

// Limits of values in a file.
const (
	// MaxObjectLimit is 1.45 MiB, rounded up to a byte as Kubernetes quantities are. etcd refuses
	// requests over 1.5 MiB, and a request is larger than the object.
	MaxObjectLimit = 1520436
	// MaxPublishTimeout bounds how long a step may wait for an unavailable API server.
	MaxPublishTimeout = 30 * time.Minute
)

// Configuration is a validated file.
type Configuration struct {
	// Controllers are the users who may write any TaskRun status: Tekton's controller. They come
	// from a file of their own, ControllerKey.
	Controllers []string
	// Limits bound results, in bytes.
	Limits result.Limits
	// Publisher says how results are published.
	Publisher Publisher
	// Archive says where finished runs go.
	Archive Archive
	// API is where they are read.
	API API
}

// Publisher configures what injection adds to a Pod.
type Publisher struct {
	// Image contains the publisher. It has no default: it belongs to the installation.
	Image string
	// PullPolicy is the image's pull policy.
	PullPolicy corev1.PullPolicy
	// Delivery is one of the Delivery constants.
	Delivery string
	// Timeout bounds publishing after a step has ended.
	Timeout time.Duration
	// Server is the API server's HOST:PORT as pods of TaskRuns reach it; "" means the address that
	// the kubelet sets in the webhook's own pod.
	Server string
}

// Default returns the configuration of a file that sets only the image, without the image.
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
