package publisher

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Every step but the last keeps its report in a file; the last one publishes it with its own. The
// report is written where Tekton's entrypoint reads results: in the step's own container, as its
// user and in its file system. Its folder is writable by this step only.

// maxReport bounds what is read of a report, in bytes: results at their limit whose characters JSON
// writes as six bytes each, plus overhead.
func maxReport(o Options) int64 { return 6*o.Limits.TaskRun + 1<<20 }

// keep writes this step's report: atomically, and readable by whatever user the last step runs as.
func keep(o Options) error {
	found, err := look(o)
	if err != nil {
		return err
	}
	if err := writeReport(o.KeepIn, encodeJSON(found)); err != nil {
		return &problem{
			what: "what the step reports cannot be kept for the last step: " + err.Error(),
			advice: "Check that the node's disk is not full, and that the step leaves " + filepath.Dir(o.KeepIn) +
				" alone.",
		}
	}
	return nil
}

func writeReport(path string, content []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".report-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	_, err = f.Write(content)
	if err = errors.Join(err, f.Chmod(0o644), f.Close()); err != nil { // whatever the step's umask
		return err
	}
	return os.Rename(f.Name(), path)
}

// When its command has ended, Tekton's entrypoint writes a file that starts the next step (with the
// suffix .err if the command failed), and only then reads the results. A wrapped step has it write
// that file under another name, which is renamed once the report is kept. Otherwise the next step
// could change the results before they are read or, as the last one, publish without them.
const (
	unkeptSuffix = ".unkept"
	failedSuffix = ".err"
)

// Unkept returns the name under which a wrapped step's entrypoint writes the file that the next
// step waits for.
func Unkept(post string) string { return post + unkeptSuffix }

// handOn starts the next step. If the entrypoint was killed there is nothing to rename, and the
// next step must not start.
func handOn(post string) error {
	if post == "" {
		return nil
	}
	for _, suffix := range []string{"", failedSuffix} {
		if err := os.Rename(Unkept(post)+suffix, post+suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return &problem{
				what:   "the next step cannot be started: " + err.Error(),
				advice: "Check that the step leaves " + filepath.Dir(post) + " alone.",
			}
		}
	}
	return nil
}

// gather returns the reports of all steps, the kept ones and this one's, as far as they can be
// read: a step whose results cannot be read reports none, as in Tekton, and fails. The error is
// that of the first such step.
func gather(o Options) ([]stepReport, error) {
	var reports []stepReport
	var first error
	for _, k := range o.Kept {
		r, err := readReport(o, k)
		if err != nil {
			first = cmp.Or[error](first, &problem{
				what:   fmt.Sprintf("what step %q reported cannot be read: %v", k.Step, err),
				advice: "A step must leave the folders below " + filepath.Dir(filepath.Dir(k.Dir)) + " alone.",
			})
			continue
		}
		reports = append(reports, stepReport{step: k, report: r})
	}
	own, err := look(o)
	if err != nil {
		return reports, cmp.Or(first, err)
	}
	return append(reports, stepReport{step: o.Own, report: own}), first
}

// readReport reads what a step has kept. The file is missing if the step's container was killed;
// such a step reports nothing in Tekton, either.
func readReport(o Options, k StepResults) (report, error) {
	f, _, err := openRegular(k.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return report{}, nil
	}
	if err != nil {
		return report{}, err
	}
	defer func() { _ = f.Close() }()
	most := maxReport(o)
	content, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return report{}, err
	}
	var r report
	if int64(len(content)) > most || json.Unmarshal(content, &r) != nil {
		return report{}, errors.New("it is not a report")
	}
	return r, nil
}
