package inject

import (
	"path"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// findCollision returns what in the Pod conflicts with what the plan adds, or "". Adding it anyway
// would make the API server reject the Pod, or hide the user's files.
func findCollision(pod *corev1.Pod, p *plan) string {
	for i := range p.volumes {
		if name := p.volumes[i].Name; volumeNamed(pod, name) != nil {
			return "it already has a volume named " + name
		}
	}
	if p.installer != nil && hasContainer(pod, p.installer.Name) {
		return "it already has a container named " + p.installer.Name
	}
	for _, w := range p.wraps {
		if what := collides(&pod.Spec.Containers[w.container], w.mounts); what != "" {
			return what
		}
	}
	return ""
}

// collides does the same for the mounts of one container.
func collides(c *corev1.Container, mounts []corev1.VolumeMount) string {
	for _, ours := range mounts {
		for _, theirs := range c.VolumeMounts {
			if nested(ours.MountPath, theirs.MountPath) {
				return "its container " + c.Name + " already mounts something at " + theirs.MountPath
			}
		}
		for _, device := range c.VolumeDevices {
			if nested(ours.MountPath, device.DevicePath) {
				return "its container " + c.Name + " already has a device at " + device.DevicePath
			}
		}
	}
	return ""
}

// nested reports whether one path equals the other or lies below it. A mount below a user's mount
// would need a folder inside their volume.
func nested(a, b string) bool {
	a, b = path.Clean(a)+"/", path.Clean(b)+"/"
	return strings.HasPrefix(a, b) || strings.HasPrefix(b, a)
}
