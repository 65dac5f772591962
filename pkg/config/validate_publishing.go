package config

import (
	"net"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/indelible-ci/indelible/pkg/result"
)

// limits compares the limits only if each is valid, so that one problem is not reported three
// times.
func (r *reader) limits(to *result.Limits, v any) {
	before := len(r.problems)
	fields := r.object("limits", v, "result", "taskRun", "object")
	r.bytes(&to.Result, "limits.result", fields["result"])
	r.bytes(&to.TaskRun, "limits.taskRun", fields["taskRun"])
	r.bytes(&to.Object, "limits.object", fields["object"])
	if len(r.problems) > before {
		return
	}
	ordered := []struct {
		path string
		size int64
	}{{"limits.result", to.Result}, {"limits.taskRun", to.TaskRun}, {"limits.object", to.Object}}
	for i, lower := range ordered[:2] {
		if higher := ordered[i+1]; lower.size > higher.size {
			r.problem(lower.path, "is %s, more than the %s of %s: lower %s or raise %s",
				result.Size(lower.size), result.Size(higher.size), higher.path, lower.path, higher.path)
		}
	}
	if to.Object > MaxObjectLimit {
		r.problem("limits.object",
			"is %s, but must be at most %s, because etcd refuses requests over 1.5 MiB: lower it to "+
				"1.45Mi or less",
			result.Size(to.Object), result.Size(MaxObjectLimit))
	}
}

func (r *reader) publisher(to *Publisher, v any) {
	fields := r.object("publisher", v, "image", "pullPolicy", "delivery", "timeout", "server")
	if fields["image"] == nil {
		r.problem("publisher.image", "is required: the image that holds the publisher")
	}
	r.text(&to.Image, "publisher.image", fields["image"])

	pullPolicy := string(to.PullPolicy)
	r.oneOf(&pullPolicy, "publisher.pullPolicy", fields["pullPolicy"],
		string(corev1.PullIfNotPresent), string(corev1.PullAlways), string(corev1.PullNever))
	to.PullPolicy = corev1.PullPolicy(pullPolicy)

	r.oneOf(&to.Delivery, "publisher.delivery", fields["delivery"],
		DeliveryAuto, DeliveryImageVolume, DeliveryInitContainer)
	r.timeout(&to.Timeout, "publisher.timeout", fields["timeout"])
	r.server(&to.Server, "publisher.server", fields["server"])
}

// server reads HOST:PORT. The kubelet's IPv6 addresses have no brackets; with a port they need
// them.
func (r *reader) server(to *string, path string, v any) {
	if v == "" {
		return
	}
	var address string
	r.text(&address, path, v)
	if address == "" {
		return
	}
	host, port, err := net.SplitHostPort(address)
	if _, errPort := strconv.ParseUint(port, 10, 16); err != nil || errPort != nil || host == "" {
		r.problem(path, "must be a host and a port, such as 10.96.0.1:443 or [fd00::1]:443")
		return
	}
	*to = address
}

func (r *reader) timeout(to *time.Duration, path string, v any) {
	if v == nil {
		return
	}
	s, ok := v.(string)
	d, err := time.ParseDuration(s)
	switch {
	case !ok || err != nil:
		r.problem(path, "must be a duration such as 90s or 2m")
	case d <= 0 || d > MaxPublishTimeout:
		r.problem(path, "is %s, but must be more than 0 and at most %s", d,
			strings.TrimSuffix(MaxPublishTimeout.String(),
				"0s"))
	default:
		*to = d
	}
}
