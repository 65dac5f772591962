package inject

import (
	"context"
	"fmt"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"

	"github.com/indelible-ci/indelible/pkg/result"
)

// Delivery is how the publisher gets into the Pod (docs/design.md, D2).
type Delivery string

const (
	// DeliveryAuto uses an image volume if the whole cluster supports them, otherwise an init
	// container.
	DeliveryAuto Delivery = "auto"
	// DeliveryImageVolume mounts the publisher's image (KEP-4639).
	DeliveryImageVolume Delivery = "image-volume"
	// DeliveryInitContainer copies the publisher from its image into an emptyDir before the steps
	// start. It works everywhere and costs about a second per TaskRun.
	DeliveryInitContainer Delivery = "init-container"
)

const (
	binVolume        = "indelible-bin"
	binDir           = "/indelible/bin"
	publisherBinary  = result.PublisherPath
	imagePublisher   = "/publisher"
	installContainer = result.InstallContainer
	// installUser is "nonroot" of the distroless images; any number except 0 would do.
	installUser int64 = 65532
)

// ClusterInfo reports the cluster's capabilities. It is used only for DeliveryAuto.
type ClusterInfo interface {
	// SupportsImageVolumes reports whether a Pod with an image volume can run on every node it may
	// be scheduled to, and if not, why. An error means that this could not be determined.
	SupportsImageVolumes(ctx context.Context) (ok bool, reason string, err error)
}

// chooseDelivery resolves DeliveryAuto. When unsure it takes the init container, which costs time
// but not the run.
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
		log.Error(err, "cannot determine whether the cluster supports image volumes; using an init container")
		return DeliveryInitContainer, nil
	case !ok:
		log.V(1).Info("using an init container", "reason", why)
		return DeliveryInitContainer, nil
	}
	return DeliveryImageVolume, nil
}

// publisherVolume returns the volume that holds the publisher.
func publisherVolume(d Delivery, s Settings) corev1.Volume {
	if d == DeliveryImageVolume {
		return corev1.Volume{Name: binVolume, VolumeSource: corev1.VolumeSource{
			Image: &corev1.ImageVolumeSource{Reference: s.Image, PullPolicy: s.PullPolicy},
		}}
	}
	return corev1.Volume{Name: binVolume, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}
}

// publisherInstaller returns the init container of DeliveryInitContainer. It satisfies the
// restricted Pod Security profile.
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

// prepare is the init container that installs Tekton's own entrypoint.
const prepare = "prepare"

// installerResources are those of Tekton's init container that does the same job or, without it, of
// the first container. That container already meets the namespace's requirements: LimitRanger sets
// defaults before webhooks are called, and Tekton's config-defaults name the container for quotas
// that require values. The same values are within the same minimum, maximum and ratio; the Pod's
// request does not grow, because only the largest init container counts; and a Pod of QoS class
// Guaranteed stays one. Without any, the installer has none either.
//
// Only what schedulers, quotas and limits require of every container is copied, not devices or
// claims.
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
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory,
		corev1.ResourceEphemeralStorage} {
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

// installerUser is nil if the Pod sets a non-root user for all containers, possibly the only one
// its namespace allows.
func installerUser(pod *corev1.Pod) *int64 {
	if sc := pod.Spec.SecurityContext; sc != nil && sc.RunAsUser != nil && *sc.RunAsUser != 0 {
		return nil
	}
	user := installUser
	return &user
}
