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

// Defaults of flags.
const (
	// DefaultTimeout bounds publishing, from the end of the step's command to the acknowledged
	// write.
	DefaultTimeout = 2 * time.Minute
	// DefaultGracePeriod is Kubernetes' default terminationGracePeriodSeconds.
	DefaultGracePeriod = 30 * time.Second
	// DefaultCredentials is where Kubernetes mounts a pod's own service account token and CA.
	DefaultCredentials = "/var/run/secrets/kubernetes.io/serviceaccount"
	// DefaultTerminationMessage is Tekton's terminationMessagePath.
	DefaultTerminationMessage = "/tekton/termination"
)

// StepResults says which results a step may write, and where they are.
type StepResults struct {
	// Step is the step's name as in status.steps[].name, without the "step-" prefix.
	Step string
	// Dir is the folder with one file per result; for an earlier step, the file of its report.
	Dir string
	// Names are the declared step results.
	Names []string
}

func (s StepResults) label(name string) string { return stepLabel(s.Step, name) }

func (s StepResults) isZero() bool { return s.Step == "" && s.Dir == "" && len(s.Names) == 0 }

// Options is the publisher's input. The webhook encodes it as a command line (Args), the publisher
// decodes it (ParseOptions).
type Options struct {
	// Namespace and TaskRun name the TaskRun to write to; UID is the one it must have.
	Namespace, TaskRun, UID string
	// Server is the API server's HOST:PORT, as by net.JoinHostPort. If empty, the address is taken
	// from the environment, which a step may have overridden.
	Server string
	// Results are the names of the Task results to collect from ResultsDir (result.TaskResultsDir
	// if empty).
	Results    []string
	ResultsDir string
	// Own are this step's results, the zero value if it declares none.
	Own StepResults
	// KeepIn is the file for the step's report; set for every step but the last. Nothing is
	// published then.
	KeepIn string
	// Post is the file that the next step waits for; only with KeepIn. COMMAND writes it under the
	// name Unkept, and it is renamed once the report is kept.
	Post string
	// Kept are the earlier steps in their order, each with the file of its report.
	Kept []StepResults
	// Credentials is a folder with the files "token" and "ca.crt".
	Credentials string
	// Timeout bounds publishing; GracePeriod bounds it after a SIGTERM (the pod's
	// terminationGracePeriodSeconds). Zero GracePeriod means DefaultGracePeriod.
	Timeout, GracePeriod time.Duration
	// Limits lets the publisher refuse early what the guard would deny.
	Limits result.Limits
	// TerminationMessage is the file Tekton's entrypoint writes its termination message to.
	TerminationMessage string
	// Command is the command to run: Tekton's entrypoint with its arguments.
	Command []string
}

// Args returns the command line that ParseOptions reads back.
func (o Options) Args() []string {
	args := []string{"-namespace", o.Namespace, "-taskrun", o.TaskRun}
	for _, f := range []struct{ name, value string }{{"-uid", o.UID}, {"-server", o.Server}, {"-keep", o.KeepIn},
		{"-post", o.Post}} {
		if f.value != "" {
			args = append(args, f.name, f.value)
		}
	}
	if len(o.Results) > 0 {
		args = append(args, "-results", strings.Join(o.Results, ","))
	}
	if o.ResultsDir != "" && (len(o.Results) > 0 || o.ResultsDir != result.TaskResultsDir) {
		args = append(args, "-results-dir", o.ResultsDir)
	}
	if !o.Own.isZero() {
		args = append(args, "-step", o.Own.argument())
	}
	for _, s := range o.Kept {
		args = append(args, "-kept", s.argument())
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
	fs.StringVar(&o.TaskRun, "taskrun", "", "name of the TaskRun to write to")
	fs.StringVar(&o.UID, "uid", "", "UID that the TaskRun must have")
	fs.StringVar(&o.Server, "server", "",
		"HOST:PORT of the API server; without it, as KUBERNETES_SERVICE_HOST and _PORT say")
	fs.StringVar(&o.KeepIn, "keep", "", "`file` to keep COMMAND's results in for the last step; nothing is published")
	fs.StringVar(&o.Post, "post", "", "with -keep: the file for which the next step waits, which COMMAND writes with "+
		unkeptSuffix+" behind its name")
	fs.Func("results", "comma-separated names of Task results", func(v string) error {
		o.Results = splitNames(v)
		return nil
	})
	fs.StringVar(&o.ResultsDir, "results-dir", result.TaskResultsDir, "folder of the Task results' files")
	fs.Func("step", "STEP=DIR=NAME,NAME: this step's results", func(v string) (err error) {
		o.Own, err = parseStep(v)
		return err
	})
	fs.Func("kept", "STEP=FILE=NAME,NAME: an earlier step's report, and the names of its results; may be repeated",
		func(v string) error {
			step, err := parseStep(v)
			o.Kept = append(o.Kept, step)
			return err
		})
	fs.StringVar(&o.Credentials, "credentials", DefaultCredentials, "folder with the files token and ca.crt")
	fs.DurationVar(&o.Timeout, "timeout", DefaultTimeout, "how long to try to publish")
	fs.DurationVar(&o.GracePeriod, "grace-period", DefaultGracePeriod, "how long the pod has after SIGTERM; 0 is 30s")
	fs.Func("limits", "RESULT,TASKRUN,OBJECT in bytes", func(v string) (err error) {
		o.Limits, err = parseLimits(v)
		return err
	})
	fs.StringVar(&o.TerminationMessage, "termination-message", DefaultTerminationMessage,
		"file of Tekton's termination message")
}

func (o *Options) check() error {
	switch {
	case o.Namespace == "" || o.TaskRun == "":
		return errors.New("publisher: -namespace and -taskrun are required")
	case o.Post != "" && o.KeepIn == "":
		return errors.New("publisher: -post goes with -keep only")
	case o.UID == "" && o.KeepIn == "":
		return errors.New("publisher: -uid is required to publish")
	case o.Timeout <= 0:
		return errors.New("publisher: -timeout must be positive")
	case o.GracePeriod < 0:
		return errors.New("publisher: -grace-period must not be negative")
	case len(o.Command) == 0:
		return errors.New("publisher: no command given after --")
	}
	return nil
}

func (s StepResults) argument() string {
	return s.Step + "=" + s.Dir + "=" + strings.Join(s.Names, ",")
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
