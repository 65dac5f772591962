package inject

import (
	"path"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/indelible-ci/indelible/pkg/publisher"
)

// plan is what injection adds to a Pod and changes in it.
type plan struct {
	delivery Delivery
	// steps are all steps in their order.
	steps []step
	// wraps are the containers that get the publisher: those of steps that report results, and the
	// last step's.
	wraps     []wrap
	volumes   []corev1.Volume
	installer *corev1.Container
}

// newPlan plans the injection of a Pod.
func newPlan(pod *corev1.Pod, namespace string, steps []step, d Delivery, s Settings) *plan {
	p := &plan{delivery: d, steps: steps, volumes: []corev1.Volume{publisherVolume(d, s)}}
	if d == DeliveryInitContainer {
		installer := publisherInstaller(pod, s)
		p.installer = &installer
	}
	w := wrapper{pod: pod, namespace: namespace, settings: s}
	last := steps[len(steps)-1]
	var kept []publisher.StepResults
	for _, earlier := range steps[:len(steps)-1] {
		if len(earlier.args.results) > 0 || len(earlier.args.stepResults) > 0 {
			p.wraps = append(p.wraps, w.keeping(earlier))
			kept = append(kept, publisher.StepResults{
				Step: earlier.name, Dir: path.Join(keptDir, folderOf(earlier), keptReport),
				Names: earlier.args.stepResults,
			})
		}
	}
	publishing := w.publishing(last, kept)
	if len(kept) > 0 {
		p.volumes = append(p.volumes, corev1.Volume{Name: keptVolume,
			VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}})
	}
	if !hasOwnToken(pod, &pod.Spec.Containers[last.container]) {
		p.volumes = append(p.volumes, ownTokenVolume())
	}
	p.wraps = append(p.wraps, publishing)
	return p
}

// wrapOf returns a container's wrap, nil if it gets no publisher.
func (p *plan) wrapOf(container int) *wrap {
	i := slices.IndexFunc(p.wraps, func(w wrap) bool { return w.container == container })
	if i < 0 {
		return nil
	}
	return &p.wraps[i]
}
