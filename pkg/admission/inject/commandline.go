package inject

import (
	"path"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/indelible-ci/indelible/pkg/publisher"
	"github.com/indelible-ci/indelible/pkg/result"
)

// wrap is the new command line of one step's container. A step's command becomes
//
//	/indelible/bin/publisher FLAGS -- /tekton/bin/entrypoint ARGS
//
// where ARGS are the entrypoint's arguments without -results and -step_results (args.go), and FLAGS
// are publisher.Options.Args.
type wrap struct {
	container     int
	command, args []string
	mounts        []corev1.VolumeMount
}

const (
	keptVolume = "indelible-kept"
	keptDir    = "/indelible/kept"
	keptReport = "report"
)

// wrapper makes the wraps of one Pod.
type wrapper struct {
	pod       *corev1.Pod
	namespace string
	settings  Settings
}

// keeping wraps a step other than the last: it keeps what its command reports in a folder that no
// other step can write to, and only then starts the next step. It gets no token.
func (w wrapper) keeping(s step) wrap {
	o := w.options(s)
	o.KeepIn = path.Join(keptDir, keptReport)
	if post := s.args.values["post_file"]; post != "" && !s.args.breaks() {
		o.Post = post
		o.Command = slices.Concat(w.pod.Spec.Containers[s.container].Command,
			s.args.with("post_file", publisher.Unkept(post)))
	}
	return w.wrap(s, o, corev1.VolumeMount{Name: keptVolume, MountPath: keptDir, SubPath: folderOf(s)})
}

// publishing wraps the last step, which publishes the results of all steps.
func (w wrapper) publishing(s step, kept []publisher.StepResults) wrap {
	o := w.options(s)
	o.UID, o.Server = taskRunUIDOf(w.pod), w.settings.Server
	o.Timeout, o.Kept = w.settings.Timeout, kept
	var mounts []corev1.VolumeMount
	if len(kept) > 0 {
		mounts = append(mounts, corev1.VolumeMount{Name: keptVolume, MountPath: keptDir, ReadOnly: true})
	}
	o.Credentials = publisher.DefaultCredentials
	if !hasOwnToken(w.pod, &w.pod.Spec.Containers[s.container]) {
		o.Credentials = tokenDir
		mounts = append(mounts, corev1.VolumeMount{Name: tokenVolume, MountPath: tokenDir, ReadOnly: true})
	}
	return w.wrap(s, o, mounts...)
}

// options are the publisher's options common to all steps.
func (w wrapper) options(s step) publisher.Options {
	c := &w.pod.Spec.Containers[s.container]
	o := publisher.Options{
		Namespace:          w.namespace,
		TaskRun:            taskRunOf(w.pod),
		Results:            s.args.results,
		ResultsDir:         result.TaskResultsDir,
		Credentials:        publisher.DefaultCredentials,
		Timeout:            publisher.DefaultTimeout,
		GracePeriod:        gracePeriod(w.pod),
		Limits:             w.settings.Limits,
		TerminationMessage: terminationMessage(c, s),
		Command:            slices.Concat(c.Command, s.args.kept),
	}
	if len(s.args.stepResults) > 0 {
		o.Own = publisher.StepResults{
			Step: s.name, Dir: path.Join(s.args.values["step_metadata_dir"], result.StepMetadataResults),
			Names: s.args.stepResults,
		}
	}
	return o
}

func (w wrapper) wrap(s step, o publisher.Options, mounts ...corev1.VolumeMount) wrap {
	return wrap{
		container: s.container,
		command:   []string{publisherBinary},
		args:      o.Args(),
		mounts:    append([]corev1.VolumeMount{{Name: binVolume, MountPath: binDir, ReadOnly: true}}, mounts...),
	}
}

// folderOf returns the folder of a step's report.
func folderOf(s step) string { return strconv.Itoa(s.order) }

// gracePeriod is the time between SIGTERM and SIGKILL. Zero means "at once" in a Pod but "the
// default" to the publisher, so it is passed as one second.
func gracePeriod(pod *corev1.Pod) time.Duration {
	seconds := pod.Spec.TerminationGracePeriodSeconds
	if seconds == nil {
		return publisher.DefaultGracePeriod
	}
	return max(time.Duration(*seconds)*time.Second, time.Second)
}

// terminationMessage is the file that Tekton's entrypoint writes and the kubelet reads.
func terminationMessage(c *corev1.Container, s step) string {
	if c.TerminationMessagePath != "" {
		return c.TerminationMessagePath
	}
	return s.args.values["termination_path"]
}
