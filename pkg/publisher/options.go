package publisher

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/indelible-ci/indelible/pkg/result"
)

// Defaults of what the command line leaves out.
const (
	// DefaultTimeout bounds publishing, from the end of the step's command to the acknowledged patch.
	DefaultTimeout = 2 * time.Minute
	// DefaultCredentials is where Kubernetes mounts a pod's own service account token and CA.
	DefaultCredentials = "/var/run/secrets/kubernetes.io/serviceaccount" //nolint:gosec // G101: a folder, not a credential
)

// StepResults names the results one step may write and the folder it writes them to.
type StepResults struct {
	// Step is the step's name as in status.steps[].name, without the "step-" prefix.
	Step string
	// Dir is the folder that holds one file a result.
	Dir string
	// Names are the declared step results.
	Names []string
}

// Options is all the publisher needs to know. The webhook writes it as a command line (Args), the publisher
// reads it back (ParseOptions).
type Options struct {
	// Namespace and TaskRun name the TaskRun to patch.
	Namespace, TaskRun string
	// Results are the names of the Task results to collect from ResultsDir.
	Results    []string
	ResultsDir string
	// Steps are the step results to collect.
	Steps []StepResults
	// Credentials is a folder with the files "token" and "ca.crt".
	Credentials string
	// Timeout bounds publishing; GracePeriod bounds it after a SIGTERM (the pod's
	// terminationGracePeriodSeconds). Zero GracePeriod means Kubernetes' default of 30 s.
	Timeout, GracePeriod time.Duration
	// Limits lets the publisher refuse early what the guard would refuse anyway.
	Limits result.Limits
	// TerminationMessage is the file Tekton's entrypoint writes its termination message to.
	TerminationMessage string
	// Command is the command to run: Tekton's entrypoint with its arguments.
	Command []string
}

// Args returns the command line that ParseOptions reads back.
func (o Options) Args() []string {
	args := []string{"-namespace", o.Namespace, "-taskrun", o.TaskRun}
	if len(o.Results) > 0 {
		args = append(args, "-results", strings.Join(o.Results, ","), "-results-dir", o.ResultsDir)
	}
	for _, s := range o.Steps {
		args = append(args, "-step", s.Step+"="+s.Dir+"="+strings.Join(s.Names, ","))
	}
	args = append(args,
		"-credentials", o.Credentials,
		"-timeout", o.Timeout.String(),
		"-grace-period", o.GracePeriod.String(),
		"-limits", fmt.Sprintf("%d,%d,%d", o.Limits.Result, o.Limits.TaskRun, o.Limits.Object),
		"-termination-message", o.TerminationMessage,
		"--")
	return append(args, o.Command...)
}

// ParseOptions reads a command line, without the program's name. It returns flag.ErrHelp for -h.
// usage receives the text of -h and of errors.
func ParseOptions(args []string, usage io.Writer) (Options, error) {
	o := Options{Limits: result.DefaultLimits()}
	fs := flag.NewFlagSet("publisher", flag.ContinueOnError)
	fs.SetOutput(usage)
	fs.StringVar(&o.Namespace, "namespace", "", "namespace of the TaskRun")
	fs.StringVar(&o.TaskRun, "taskrun", "", "name of the TaskRun to patch")
	fs.Func("results", "comma-separated names of Task results", func(v string) error {
		o.Results = splitNames(v)
		return nil
	})
	fs.StringVar(&o.ResultsDir, "results-dir", result.TaskResultsDir, "folder of the Task results' files")
	fs.Func("step", "STEP=DIR=NAME,NAME: a step's results; may be repeated", func(v string) error {
		step, rest, ok1 := strings.Cut(v, "=")
		dir, names, ok2 := strings.Cut(rest, "=")
		if !ok1 || !ok2 || step == "" || dir == "" {
			return fmt.Errorf("want STEP=DIR=NAME,NAME")
		}
		o.Steps = append(o.Steps, StepResults{Step: step, Dir: dir, Names: splitNames(names)})
		return nil
	})
	fs.StringVar(&o.Credentials, "credentials", DefaultCredentials, "folder with the files token and ca.crt")
	fs.DurationVar(&o.Timeout, "timeout", DefaultTimeout, "how long to try to publish")
	fs.DurationVar(&o.GracePeriod, "grace-period", 30*time.Second, "how long the pod has after SIGTERM")
	fs.Func("limits", "RESULT,TASKRUN,OBJECT in bytes", func(v string) error {
		_, err := fmt.Sscanf(v, "%d,%d,%d", &o.Limits.Result, &o.Limits.TaskRun, &o.Limits.Object)
		return err
	})
	fs.StringVar(&o.TerminationMessage, "termination-message", "/tekton/termination", "file of Tekton's termination message")
	if err := fs.Parse(args); err != nil {
		return Options{}, err
	}
	o.Command = fs.Args()
	if o.Namespace == "" || o.TaskRun == "" {
		return Options{}, errors.New("publisher: -namespace and -taskrun are required")
	}
	if len(o.Command) == 0 {
		return Options{}, errors.New("publisher: no command given after --")
	}
	return o, nil
}

func splitNames(v string) []string {
	if v == "" {
		return nil
	}
	return strings.Split(v, ",")
}
