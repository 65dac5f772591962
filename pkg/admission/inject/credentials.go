package inject

import (
	"path"

	corev1 "k8s.io/api/core/v1"

	"github.com/indelible-ci/indelible/pkg/publisher"
)

const (
	tokenVolume = "indelible-token"
	tokenDir    = "/indelible/token"
	// tokenSeconds is the lifetime requested. The kubelet renews the file in time, so it need not
	// cover the TaskRun; a longer lifetime only makes a leaked token more valuable.
	tokenSeconds int64 = 3600
	// tokenFileMode is the mode that the ServiceAccount admission plugin uses for the Pod's own
	// token. The kubelet narrows it if all containers run as one user, or the Pod has a group.
	tokenFileMode int32 = 0o644
	rootCAMap           = "kube-root-ca.crt"
	caFile              = "ca.crt"
	tokenFile           = "token"
)

// hasOwnToken reports whether the container already has a token that the publisher can use: the
// projected, Pod-bound one that the ServiceAccount admission plugin mounts before mutating webhooks
// run. The plugin mounts nothing if automounting is off, or if the user has a mount at this path,
// which may be anything: a Secret's token is not bound to the Pod, and the guard would deny it.
func hasOwnToken(pod *corev1.Pod, c *corev1.Container) bool {
	for _, m := range c.VolumeMounts {
		if path.Clean(m.MountPath) != publisher.DefaultCredentials {
			continue
		}
		v := volumeNamed(pod, m.Name)
		return v != nil && v.Projected != nil && m.SubPath == "" && m.SubPathExpr == "" && projectsToken(v.Projected)
	}
	return false
}

// projectsToken requires a token for the API server (no other audience) and its CA.
func projectsToken(p *corev1.ProjectedVolumeSource) bool {
	var token, ca bool
	for _, s := range p.Sources {
		if t := s.ServiceAccountToken; t != nil && t.Audience == "" && t.Path == tokenFile {
			token = true
		}
		if s.ConfigMap != nil && s.ConfigMap.Name == rootCAMap {
			ca = true
		}
	}
	return token && ca
}

// ownTokenVolume returns a projected volume with the two files the publisher needs.
func ownTokenVolume() corev1.Volume {
	seconds, mode := tokenSeconds, tokenFileMode
	return corev1.Volume{Name: tokenVolume, VolumeSource: corev1.VolumeSource{
		Projected: &corev1.ProjectedVolumeSource{
			DefaultMode: &mode,
			Sources: []corev1.VolumeProjection{
				{
					ServiceAccountToken: &corev1.ServiceAccountTokenProjection{ExpirationSeconds: &seconds,
						Path: tokenFile},
				},
				{ConfigMap: &corev1.ConfigMapProjection{
					LocalObjectReference: corev1.LocalObjectReference{Name: rootCAMap},
					Items:                []corev1.KeyToPath{{Key: caFile, Path: caFile}},
				}},
			},
		},
	}}
}
