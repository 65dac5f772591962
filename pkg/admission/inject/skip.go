package inject

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/indelible-ci/indelible/pkg/result"
)

// reason says why a Pod is left alone or refused. It is a metric label, so the set is fixed and
// contains nothing from the Pod.
type reason string

// Reasons to leave a Pod's results to Tekton.
const (
	reasonNotTaskRun      reason = "not_taskrun"
	reasonOptedOut        reason = "opted_out"
	reasonAlreadyInjected reason = "already_injected"
	reasonWindows         reason = "windows"
	reasonNotEntrypoint   reason = "not_entrypoint"
	reasonArguments       reason = "arguments"
	reasonSidecarLogs     reason = "sidecar_logs"
	reasonSPIRE           reason = "spire"
	reasonNoResults       reason = "no_results"
	reasonCollision       reason = "collision"
	reasonUnguarded       reason = "unguarded"
	reasonError           reason = "error"
)

// Reasons to refuse a Pod.
const (
	reasonEnvTooLong      reason = "env_too_long"
	reasonArgumentTooLong reason = "argument_too_long"
	reasonSizeInvalid     reason = "result_size_invalid"
	reasonSizeOverLimit   reason = "result_size_over_limit"
	reasonSizeUnavailable reason = "result_size_unavailable"
)

// All of them, for the metric to start at zero.
var (
	skipReasons = []reason{
		reasonNotTaskRun, reasonOptedOut, reasonAlreadyInjected, reasonWindows, reasonNotEntrypoint, reasonArguments,
		reasonSidecarLogs, reasonSPIRE, reasonNoResults, reasonCollision, reasonUnguarded, reasonError,
	}
	refusalReasons = []reason{
		reasonEnvTooLong, reasonArgumentTooLong, reasonSizeInvalid, reasonSizeOverLimit, reasonSizeUnavailable,
	}
)

// skip is the decision to leave a Pod's results to Tekton.
type skip struct {
	reason reason
	// because is the reason for whoever looks at the Pod.
	because string
	// warn also tells whoever creates the Pod: nobody chose that its results keep Tekton's limits,
	// though the namespace opted in.
	warn bool
}

// is reports whether s is a skip for this reason; s may be nil.
func (s *skip) is(r reason) bool { return s != nil && s.reason == r }

const (
	taskRunLabel = "tekton.dev/taskRun"
	taskRunGroup = "tekton.dev/"
	taskRunKind  = "TaskRun"
	osLabel      = "kubernetes.io/os"
	windows      = "windows"
	// SPIRE's volume and CSI driver, and the container that reads results in sidecar-logs mode
	// (pkg/spire/spire.go, pkg/pod/pod.go and pkg/apis/pipeline/sidecarlogs.go of Tekton Pipelines
	// 1.15).
	spireVolume        = "spiffe-workload-api"
	spireDriver        = "csi.spiffe.io"
	sidecarLogsMethod  = "sidecar-logs"
	sidecarLogsProgram = "sidecar-tekton-log-results"
)

// taskRunOf returns the name of the TaskRun that controls the Pod, or "". The label alone proves
// nothing, as any Pod may have it; the guard relies on the owner reference, too.
func taskRunOf(pod *corev1.Pod) string {
	owner := metav1.GetControllerOf(pod)
	if pod.Labels[taskRunLabel] == "" || owner == nil || owner.Kind != taskRunKind || owner.UID == "" ||
		!strings.HasPrefix(owner.APIVersion, taskRunGroup) {
		return ""
	}
	return owner.Name
}

// taskRunUIDOf returns the UID of the TaskRun that controls the Pod.
func taskRunUIDOf(pod *corev1.Pod) string {
	if owner := metav1.GetControllerOf(pod); owner != nil {
		return string(owner.UID)
	}
	return ""
}

// alreadyInjected requires the volume besides the annotation: a TaskRun's annotations are copied to
// its Pod, so the annotation alone may be a copy of an earlier Pod's.
func alreadyInjected(pod *corev1.Pod) bool {
	return pod.Annotations[result.InjectedAnnotation] != "" && volumeNamed(pod, binVolume) != nil
}

func isWindows(pod *corev1.Pod) bool {
	return pod.Spec.OS != nil && pod.Spec.OS.Name == corev1.Windows || pod.Spec.NodeSelector[osLabel] == windows
}

// allEntrypoints reports whether every step runs Tekton's entrypoint directly. Another webhook may
// have wrapped it, and how its wrapper treats arguments is unknown.
func allEntrypoints(pod *corev1.Pod) bool {
	indexes := stepContainers(pod)
	for _, i := range indexes {
		if command := pod.Spec.Containers[i].Command; len(command) != 1 || command[0] != tektonEntrypoint {
			return false
		}
	}
	return len(indexes) > 0
}

// usesSidecarLogs: Tekton reads results from a sidecar's log, which has its own limits.
func usesSidecarLogs(pod *corev1.Pod, steps []step) bool {
	for _, s := range steps {
		if s.args.values["result_from"] == sidecarLogsMethod {
			return true
		}
	}
	return hasContainer(pod, sidecarLogsProgram)
}

// usesSPIRE: the entrypoint signs the results it reports; results it does not report would be
// unsigned.
func usesSPIRE(pod *corev1.Pod, steps []step) bool {
	for _, s := range steps {
		if s.args.values["enable_spire"] == "true" {
			return true
		}
	}
	v := volumeNamed(pod, spireVolume)
	return v != nil && v.CSI != nil && v.CSI.Driver == spireDriver
}

func hasResults(steps []step) bool {
	for _, s := range steps {
		if len(s.args.results) > 0 || len(s.args.stepResults) > 0 {
			return true
		}
	}
	return false
}

// mayHaveResults reports whether to expect results from a TaskRun's Pod; true if its steps cannot
// be parsed.
func mayHaveResults(pod *corev1.Pod) bool {
	steps, err := readSteps(pod)
	return err != nil || len(steps) == 0 || hasResults(steps)
}

func hasContainer(pod *corev1.Pod, name string) bool {
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			if list[i].Name == name {
				return true
			}
		}
	}
	return false
}

func volumeNamed(pod *corev1.Pod, name string) *corev1.Volume {
	for i := range pod.Spec.Volumes {
		if pod.Spec.Volumes[i].Name == name {
			return &pod.Spec.Volumes[i]
		}
	}
	return nil
}
