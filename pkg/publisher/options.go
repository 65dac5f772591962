package publisher

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/indelible-ci/indelible/pkg/result"
)

// Defaults of what the command line leaves out.
const (
	// DefaultTimeout bounds publishing, from the end of the step's command to the acknowledged patch.
	DefaultTimeout = 2 * time.Minute
	// DefaultGracePeriod is Kubernetes' default terminationGracePeriodSeconds.
	DefaultGracePeriod = 30 * time.Second
	// DefaultCredentials is where Kubernetes mounts a pod's own service account token and CA.
	DefaultCredentials = "/var/run/secrets/kubernetes.io/serviceaccount"
	// DefaultTerminationMessage is Tekton's terminationMessagePath.
	DefaultTerminationMessage = "/tekton/termination"
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
	// Results are the names of the Task results to collect from ResultsDir (result.TaskResultsDir if empty).
	Results    []string
	ResultsDir string
	// Steps are the step results to collect.
	Steps []StepResults
	// Credentials is a folder with the files "token" and "ca.crt".
	Credentials string
	// Timeout bounds publishing; GracePeriod bounds it after a SIGTERM (the pod's
	// terminationGracePeriodSeconds). Zero GracePeriod means DefaultGracePeriod.
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
		args = append(args, "-results", strings.Join(o.Results, ","))
	}
	if o.ResultsDir != "" && (len(o.Results) > 0 || o.ResultsDir != result.TaskResultsDir) {
		args = append(args, "-results-dir", o.ResultsDir)
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
	fs.Usage = func() {
		_, _ = fmt.Fprint(usage, usageText)
		fs.PrintDefaults()
	}
	o.define(fs)
	if err := fs.Parse(args); err != nil {
		return Options{}, err
	}
	o.Command = fs.Args()
	if o.ResultsDir == "" {
		o.ResultsDir = result.TaskResultsDir
	}
	if err := o.check(); err != nil {
		_, _ = fmt.Fprintln(usage, err)
		return Options{}, err
	}
	return o, nil
}

func (o *Options) define(fs *flag.FlagSet) {
	fs.StringVar(&o.Namespace, "namespace", "", "namespace of the TaskRun")
	fs.StringVar(&o.TaskRun, "taskrun", "", "name of the TaskRun to patch")
	fs.Func("results", "comma-separated names of Task results", func(v string) error {
		o.Results = splitNames(v)
		return nil
	})
	fs.StringVar(&o.ResultsDir, "results-dir", result.TaskResultsDir, "folder of the Task results' files")
	fs.Func("step", "STEP=DIR=NAME,NAME: a step's results; may be repeated", func(v string) error {
		step, err := parseStep(v)
		o.Steps = append(o.Steps, step)
		return err
	})
	fs.StringVar(&o.Credentials, "credentials", DefaultCredentials, "folder with the files token and ca.crt")
	fs.DurationVar(&o.Timeout, "timeout", DefaultTimeout, "how long to try to publish")
	fs.DurationVar(&o.GracePeriod, "grace-period", DefaultGracePeriod, "how long the pod has after SIGTERM; 0 is 30s")
	fs.Func("limits", "RESULT,TASKRUN,OBJECT in bytes", func(v string) (err error) {
		o.Limits, err = parseLimits(v)
		return err
	})
	fs.StringVar(&o.TerminationMessage, "termination-message", DefaultTerminationMessage, "file of Tekton's termination message")
}

func (o *Options) check() error {
	switch {
	case o.Namespace == "" || o.TaskRun == "":
		return errors.New("publisher: -namespace and -taskrun are required")
	case o.Timeout <= 0:
		return errors.New("publisher: -timeout must be positive")
	case o.GracePeriod < 0:
		return errors.New("publisher: -grace-period must not be negative")
	case len(o.Command) == 0:
		return errors.New("publisher: no command given after --")
	}
	return nil
}

func parseStep(v string) (StepResults, error) {
	step, rest, ok1 := strings.Cut(v, "=")
	dir, names, ok2 := strings.Cut(rest, "=")
	if !ok1 || !ok2 || step == "" || dir == "" {
		return StepResults{}, errors.New("want STEP=DIR=NAME,NAME")
	}
	return StepResults{Step: step, Dir: dir, Names: splitNames(names)}, nil
}

func parseLimits(v string) (result.Limits, error) {
	fields := strings.Split(v, ",")
	if len(fields) != 3 {
		return result.Limits{}, errors.New("want RESULT,TASKRUN,OBJECT")
	}
	var bytes [3]int64
	for i, f := range fields {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil || n <= 0 {
			return result.Limits{}, errors.New("want positive numbers of bytes")
		}
		bytes[i] = n
	}
	return result.Limits{Result: bytes[0], TaskRun: bytes[1], Object: bytes[2]}, nil
}

func splitNames(v string) []string {
	if v == "" {
		return nil
	}
	return strings.Split(v, ",")
}
