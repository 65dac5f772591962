package inject

import (
	"context"
	"fmt"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"

	"github.com/indelible-ci/indelible/pkg/result"
)

// Delivery is how the publisher gets into the Pod (DESIGN, D2).
type Delivery string

const (
	// DeliveryAuto uses an image volume where the whole cluster has them, an init container elsewhere.
	DeliveryAuto Delivery = "auto"
	// DeliveryImageVolume mounts the publisher's image (KEP-4639).
	DeliveryImageVolume Delivery = "image-volume"
	// DeliveryInitContainer copies the publisher from its image into an emptyDir before the steps start. It works
	// everywhere and costs a TaskRun about a second.
	DeliveryInitContainer Delivery = "init-container"
)

const (
	binVolume        = "indelible-bin"
	binDir           = "/indelible/bin"
	publisherBinary  = result.PublisherPath
	imagePublisher   = "/publisher"
	installContainer = result.InstallContainer
	// installUser is "nonroot" of the distroless images; any number but 0 would do.
	installUser int64 = 65532
)

// ClusterInfo tells what the cluster's machines can do. It is asked only for DeliveryAuto.
type ClusterInfo interface {
	// SupportsImageVolumes says whether a Pod with an image volume runs on every node it may land on, and if not,
	// why. An error means that it could not be found out.
	SupportsImageVolumes(ctx context.Context) (ok bool, reason string, err error)
}

// chooseDelivery turns DeliveryAuto into one of the two others. When unsure it takes the init container, which
// costs time but not the run.
func chooseDelivery(ctx context.Context, configured Delivery, cluster ClusterInfo, log logr.Logger) (Delivery, error) {
	switch configured {
	case DeliveryImageVolume, DeliveryInitContainer:
		return configured, nil
	case DeliveryAuto, "":
	default:
		return "", fmt.Errorf("unknown delivery %q", configured)
	}
	if cluster == nil {
		return DeliveryInitContainer, nil
	}
	ok, why, err := cluster.SupportsImageVolumes(ctx)
	switch {
	case err != nil:
		log.Error(err, "cannot tell whether the cluster has image volumes; using an init container")
		return DeliveryInitContainer, nil
	case !ok:
		log.V(1).Info("using an init container", "reason", why)
		return DeliveryInitContainer, nil
	}
	return DeliveryImageVolume, nil
}

// publisherVolume is the volume that holds the publisher.
func publisherVolume(d Delivery, s Settings) corev1.Volume {
	if d == DeliveryImageVolume {
		return corev1.Volume{Name: binVolume, VolumeSource: corev1.VolumeSource{
			Image: &corev1.ImageVolumeSource{Reference: s.Image, PullPolicy: s.PullPolicy},
		}}
	}
	return corev1.Volume{Name: binVolume, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}
}

// publisherInstaller is the init container of DeliveryInitContainer. It satisfies the restricted Pod Security
// profile.
func publisherInstaller(pod *corev1.Pod, s Settings) corev1.Container {
	yes, no := true, false
	return corev1.Container{
		Name:            installContainer,
		Image:           s.Image,
		ImagePullPolicy: s.PullPolicy,
		Command:         []string{imagePublisher, "install", publisherBinary},
		Resources:       installerResources(pod),
		VolumeMounts:    []corev1.VolumeMount{{Name: binVolume, MountPath: binDir}},
		SecurityContext: &corev1.SecurityContext{
			AllowPrivilegeEscalation: &no,
			Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
			ReadOnlyRootFilesystem:   &yes,
			RunAsNonRoot:             &yes,
			RunAsUser:                installerUser(pod),
			SeccompProfile:           &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		},
	}
}

// prepare is the init container by which Tekton brings its own entrypoint into the pod.
const prepare = "prepare"

// installerResources are those of Tekton's own init container that does the same work, or if there is none, of
// the first container. What a namespace demands of containers, it has demanded of that one already: the API
// server's LimitRanger gives defaults before webhooks are called, and Tekton's config-defaults name the
// container for quotas that want values. The same values once more are within the same minimum, maximum and
// ratio; the pod asks for no more than before, as init containers count by the largest; and a Pod of quality of
// service class Guaranteed stays one. Without any, the installer has none either.
//
// Only what schedulers, quotas and limits count of every container is copied: not devices, nor claims.
func installerResources(pod *corev1.Pod) corev1.ResourceRequirements {
	like := corev1.ResourceRequirements{}
	if len(pod.Spec.Containers) > 0 {
		like = pod.Spec.Containers[0].Resources
	}
	for _, c := range pod.Spec.InitContainers {
		if c.Name == prepare {
			like = c.Resources
		}
	}
	return corev1.ResourceRequirements{Requests: computeOnly(like.Requests), Limits: computeOnly(like.Limits)}
}

func computeOnly(all corev1.ResourceList) corev1.ResourceList {
	var some corev1.ResourceList
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage} {
		quantity, ok := all[name]
		if !ok {
			continue
		}
		if some == nil {
			some = corev1.ResourceList{}
		}
		some[name] = quantity
	}
	return some
}

// installerUser is nil where the Pod names a user for all its containers, who may be the only one its namespace
// allows, unless that is root.
func installerUser(pod *corev1.Pod) *int64 {
	if sc := pod.Spec.SecurityContext; sc != nil && sc.RunAsUser != nil && *sc.RunAsUser != 0 {
		return nil
	}
	user := installUser
	return &user
}
