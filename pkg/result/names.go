package result

// Labels and annotations, all under one prefix.
const (
	// EnabledKey is the namespace label that opts a namespace in ("enabled"), and the annotation on
	// a Task, TaskRun or Pod that opts one run out ("disabled"). Tekton copies a Task's annotations
	// to its TaskRuns, and a TaskRun's to its Pod.
	EnabledKey = "indelible.dev/results"
	// Enabled and Disabled are the values of EnabledKey.
	Enabled  = "enabled"
	Disabled = "disabled"
	// InjectedAnnotation marks a Pod that carries the publisher. Its value is the delivery used.
	InjectedAnnotation = "indelible.dev/injected"
	// NotInjectedAnnotation says why a Pod with results has no publisher: "<reason>: <text>", with
	// the reasons of the metric indelible_inject_pods_total.
	NotInjectedAnnotation = "indelible.dev/not-injected"
	// ScriptsAnnotation marks a Pod whose scripts were too long for one string and were split. Its
	// value is ScriptsSplit.
	ScriptsAnnotation = "indelible.dev/scripts"
	ScriptsSplit      = "rechunked"
	// ResultSizeAnnotation on a Task or TaskRun declares the maximum size of its largest result,
	// such as "800Ki". A Pod that could not publish that much is refused before it runs.
	ResultSizeAnnotation = "indelible.dev/result-size"
	// ArchiveKey is the finalizer that keeps a run in the cluster until it is archived, and the
	// annotation that opts a run out ("disabled"), which is then neither kept nor archived. Tekton
	// copies a PipelineRun's annotations to its TaskRuns and CustomRuns.
	ArchiveKey = "indelible.dev/archive"
	// PublishedAnnotation in a TaskRun's status.annotations is the UID of a pod that has published
	// no results.
	PublishedAnnotation = "indelible.dev/published"
	// TooLargeAnnotation on a PipelineRun that was cancelled because Tekton could not write it says
	// what is too large.
	TooLargeAnnotation = "indelible.dev/too-large"
)

// How a publisher reports a failure to publish. It writes both into the termination message
// (https://github.com/tektoncd/pipeline, pkg/pod/status.go): Tekton shows the reason as the step's
// terminationReason and the text in the step's terminated.message.
const (
	// TerminationReasonNotPublished is the step's terminationReason.
	TerminationReasonNotPublished = "ResultsNotPublished"
	// TerminationMessageKey is the key of the entry that holds the explanation.
	TerminationMessageKey = "indelible.dev/publish"
	// ExitNotPublished is the publisher's exit code if the command succeeded but its results did
	// not reach the TaskRun. 74 is EX_IOERR of sysexits.h.
	ExitNotPublished = 74
)

// Where Tekton keeps results inside a pod (Tekton Pipelines docs/tasks.md, "Emitting results").
const (
	// TaskResultsDir has one file per Task result.
	TaskResultsDir = "/tekton/results"
	// StepMetadataResults is the folder of a step's results below its -step_metadata_dir.
	StepMetadataResults = "results"
)

// PublisherPath is the publisher's path in a step's container.
const PublisherPath = "/indelible/bin/publisher"

// InstallContainer is the init container that copies it there, in pods without an image volume.
const InstallContainer = "indelible-install"

// FieldManager is the field manager the publisher writes with.
const FieldManager = "indelible-publisher"
