package inject

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/indelible-ci/indelible/pkg/publisher"
	"github.com/indelible-ci/indelible/pkg/result"
)

// plan is what injection adds to a Pod and changes in it.
type plan struct {
	delivery Delivery
	// steps are all steps in the order they run in; the last one gets the publisher.
	steps []step
	// command and args are those of the last step's container.
	command, args []string
	// mounts are added to the last step's container only: the others have no use for the publisher or a token.
	mounts    []corev1.VolumeMount
	volumes   []corev1.Volume
	installer *corev1.Container
}

func (p *plan) last() step { return p.steps[len(p.steps)-1] }

// newPlan decides everything about a Pod that is to be injected.
func newPlan(pod *corev1.Pod, namespace string, steps []step, d Delivery, s Settings) *plan {
	p := &plan{delivery: d, steps: steps}
	c := &pod.Spec.Containers[p.last().container]
	p.volumes = append(p.volumes, publisherVolume(d, s))
	p.mounts = append(p.mounts, corev1.VolumeMount{Name: binVolume, MountPath: binDir, ReadOnly: true})
	if d == DeliveryInitContainer {
		installer := publisherInstaller(pod, s)
		p.installer = &installer
	}
	credentials := publisher.DefaultCredentials
	if !hasOwnToken(pod, c) {
		credentials = tokenDir
		p.volumes = append(p.volumes, ownTokenVolume())
		p.mounts = append(p.mounts, corev1.VolumeMount{Name: tokenVolume, MountPath: tokenDir, ReadOnly: true})
	}
	p.command = []string{publisherBinary}
	p.args = publisher.Options{
		Namespace:          namespace,
		TaskRun:            taskRunOf(pod),
		Results:            p.last().args.results,
		ResultsDir:         result.TaskResultsDir,
		Steps:              stepResults(steps),
		Credentials:        credentials,
		Timeout:            s.Timeout,
		GracePeriod:        gracePeriod(pod),
		Limits:             s.Limits,
		TerminationMessage: terminationMessage(c, p.last()),
		Command:            slices.Concat(c.Command, p.last().args.kept),
	}.Args()
	return p
}

// gracePeriod is how long the Pod has after a SIGTERM. Zero means "at once" in a Pod but "the default" to the
// publisher, so the shortest time that is not zero stands for it.
func gracePeriod(pod *corev1.Pod) time.Duration {
	seconds := pod.Spec.TerminationGracePeriodSeconds
	if seconds == nil {
		return publisher.DefaultGracePeriod
	}
	return max(time.Duration(*seconds)*time.Second, time.Second)
}

// terminationMessage is the file the kubelet reads, to which Tekton's entrypoint writes.
func terminationMessage(c *corev1.Container, s step) string {
	if c.TerminationMessagePath != "" {
		return c.TerminationMessagePath
	}
	return s.args.values["termination_path"]
}
