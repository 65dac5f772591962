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

// A step that is not the last keeps its report in a file, for the last step to publish with its own: in the step's own
// container, as its user and in its file system, which is where Tekton's entrypoint reads results. The file is in a
// folder that no other step may write.

// maxReport bounds what is read of a report, in bytes: results at their limit, of characters that JSON writes as six
// bytes each, and some.
func maxReport(o Options) int64 { return 6*o.Limits.TaskRun + 1<<20 }

// keep writes this step's report. It appears complete or not at all, readable by whatever user the last step runs as.
func keep(o Options) error {
	found, err := look(o)
	if err != nil {
		return err
	}
	if err := writeReport(o.KeepIn, encodeJSON(found)); err != nil {
		return &problem{
			what:   "what the step reports cannot be kept for the last step: " + err.Error(),
			advice: "Check that the node's disk is not full, and that the step leaves " + filepath.Dir(o.KeepIn) + " alone.",
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
	if err = errors.Join(err, f.Chmod(0o644), f.Close()); err != nil { // the mode must not depend on the step's umask
		return err
	}
	return os.Rename(f.Name(), path)
}

// Tekton's entrypoint lets the next step begin by a file that it writes when its command has ended, with .err behind its name if
// that failed. It then reads the results. A step that is wrapped has it write that file under another name, so that the next step
// begins when the report is kept: not a moment earlier, in which it could change the results, or, as the last one, publish without them.
const (
	unkeptSuffix = ".unkept"
	failedSuffix = ".err"
)

// Unkept is the name under which a wrapped step's entrypoint writes the file for which the next step waits.
func Unkept(post string) string { return post + unkeptSuffix }

// handOn lets the next step begin, as the entrypoint meant to. There is nothing to hand on if that was killed: then the next step is
// not to begin.
func handOn(post string) error {
	if post == "" {
		return nil
	}
	for _, suffix := range []string{"", failedSuffix} {
		if err := os.Rename(Unkept(post)+suffix, post+suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return &problem{
				what:   "the next step cannot be let begin: " + err.Error(),
				advice: "Check that the step leaves " + filepath.Dir(post) + " alone.",
			}
		}
	}
	return nil
}

// gather returns the reports of all steps, those that were kept and this one's, as far as they can be read: a step whose
// results cannot be reports none, in Tekton as well, and fails. The error is the first of these steps'.
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

// readReport reads what a step has kept. There is no such file if the step's container was killed: such a step has
// reported nothing to Tekton either.
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
		return report{}, errors.New("it is no report")
	}
	return r, nil
}
