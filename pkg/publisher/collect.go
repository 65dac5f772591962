package publisher

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"unicode/utf8"

	"github.com/indelible-ci/indelible/pkg/result"
)

// named is a result as it is sent: its name and the raw content of its file.
type named struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// stepResults are the results of one step.
type stepResults struct {
	Name    string  `json:"name"`
	Results []named `json:"results"`
}

// collected is what the files held. Its JSON form is the status in the PUT.
type collected struct {
	Results []named       `json:"results,omitempty"`
	Steps   []stepResults `json:"steps,omitempty"`
}

// measured is a result's size and the label it has in messages.
type measured struct {
	label string
	size  int64
}

// sizes lists the results, largest first.
func (c collected) sizes() []measured {
	var out []measured
	for _, r := range c.Results {
		out = append(out, measured{taskLabel(r.Name), int64(len(r.Value))})
	}
	for _, s := range c.Steps {
		for _, r := range s.Results {
			out = append(out, measured{stepLabel(s.Name, r.Name), int64(len(r.Value))})
		}
	}
	sortBySize(out)
	return out
}

func sortBySize(m []measured) {
	slices.SortStableFunc(m, func(a, b measured) int { return cmp.Compare(b.size, a.size) })
}

func taskLabel(name string) string       { return fmt.Sprintf("result %q", name) }
func stepLabel(step, name string) string { return fmt.Sprintf("result %q of step %q", name, step) }

// report is the state of the result files when a step's command has ended: the Task's results and
// the step's own. Every step but the last stores it as JSON for the last one (keep.go).
type report struct {
	Results []finding `json:"results,omitempty"`
	Step    []finding `json:"step,omitempty"`
}

// finding is what the file of one result holds.
type finding struct {
	Name  string `json:"name"`
	Value string `json:"value,omitempty"`
	// Size is the file's size in bytes, also when Value is omitted.
	Size int64 `json:"size"`
	// Flaw says why Value is omitted; empty if it is not.
	Flaw flaw `json:"flaw,omitempty"`
	// At is the offset of the first invalid UTF-8 byte.
	At int `json:"at,omitempty"`
}

type flaw string

const (
	flawSize flaw = "size" // over a limit; the file was not read
	flawUTF8 flaw = "utf8"
)

// collector reads the files of one step and enforces the limits.
type collector struct {
	limits result.Limits
	total  int64
}

// look reads the results that this step reports. A missing file is skipped, as in Tekton. One that
// cannot be read is a *problem, as it fails the step in Tekton. A value that cannot be published is
// only marked as flawed: a later step may replace it, and only the final value counts.
func look(o Options) (report, error) {
	c := collector{limits: o.Limits}
	var out report
	var err error
	if out.Results, err = c.folder(o.ResultsDir, o.Results, taskLabel); err != nil {
		return report{}, err
	}
	if o.Own.Step != "" {
		out.Step, err = c.folder(o.Own.Dir, o.Own.Names, o.Own.label)
	}
	return out, err
}

func (c *collector) folder(dir string, names []string, label func(string) string) ([]finding, error) {
	var out []finding
	for i, name := range names {
		if name == "" || slices.Contains(names[:i], name) {
			continue
		}
		f, ok, err := c.file(dir, name, label(name))
		if err != nil {
			return nil, err
		}
		if ok {
			c.total += f.Size
			out = append(out, f)
		}
	}
	return out, nil
}

// file reads one result. If its size is over a limit, the content is not read.
func (c *collector) file(dir, name, label string) (found finding, ok bool, err error) {
	// Tekton admits no such names; if one arrives anyway, do not read outside the folder.
	if name == "." || name == ".." || strings.ContainsAny(name, "/\x00") {
		return finding{}, false, &problem{
			what:   label + " has a name that is no file name",
			advice: "Rename the result.",
		}
	}
	f, size, err := openRegular(filepath.Join(dir, name))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return finding{}, false, nil
	case err != nil:
		return finding{}, false, unreadable(label, err)
	}
	defer func() { _ = f.Close() }()
	if c.exceeds(size) {
		return finding{Name: name, Size: size, Flaw: flawSize}, true, nil
	}
	var b strings.Builder
	b.Grow(int(size)) // at most the limit; the memory is taken from the step's own
	// One byte more than allowed, to notice a growing file or one whose size is not reported.
	if _, err := io.Copy(&b, io.LimitReader(f, c.limits.Result+1)); err != nil {
		return finding{}, false, unreadable(label, err)
	}
	return c.judge(name, b.String()), true, nil
}

// judge turns a file's content into a finding.
func (c *collector) judge(name, content string) finding {
	found := finding{Name: name, Size: int64(len(content))}
	at := invalidUTF8(content)
	switch {
	case c.exceeds(found.Size):
		found.Flaw = flawSize
	case at >= 0:
		found.Flaw, found.At = flawUTF8, at
	default:
		found.Value = content
	}
	return found
}

// exceeds reports whether one more file of this size is over a limit.
func (c *collector) exceeds(size int64) bool {
	return size > c.limits.Result || c.total+size > c.limits.TaskRun
}

// list formats the first few with their sizes.
func list(m []measured) string {
	const most = 3
	var parts []string
	for _, x := range m[:min(most, len(m))] {
		parts = append(parts, fmt.Sprintf("%s is %s", x.label, result.Size(x.size)))
	}
	if n := len(m) - most; n > 0 {
		parts = append(parts, fmt.Sprintf("and %d more", n))
	}
	return strings.Join(parts, ", ")
}

func unreadable(label string, err error) error {
	return &problem{
		what:   fmt.Sprintf("%s cannot be read: %v", label, err),
		advice: "A result must be a regular file that the step's user can read.",
	}
}

// openRegular opens a regular file, or the target of a symbolic link to one, and returns its size.
// It never blocks: opening a FIFO would wait for a writer, and opening a device may have side
// effects. Memory devices such as /dev/null are allowed: a step may link a result there.
func openRegular(path string) (*os.File, int64, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, 0, err
	}
	if !isReadable(info) {
		return nil, 0, notRegular(path, info)
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, 0, err
	}
	// Check again on the open file: a leftover process of the step may have swapped it.
	info, err = f.Stat()
	if err == nil && !isReadable(info) {
		err = notRegular(path, info)
	}
	if err != nil {
		_ = f.Close()
		return nil, 0, err
	}
	return f, info.Size(), nil
}

// isReadable accepts regular files and the character devices of major number 1 (Linux,
// Documentation/admin-guide/devices.txt).
func isReadable(info fs.FileInfo) bool {
	if info.Mode().IsRegular() {
		return true
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	const memory = 1
	return ok && info.Mode().Type() == fs.ModeDevice|fs.ModeCharDevice && (stat.Rdev>>8)&0xfff == memory
}

func notRegular(path string, info fs.FileInfo) error {
	kind := "a special file"
	switch info.Mode().Type() {
	case fs.ModeDir:
		kind = "a directory"
	case fs.ModeNamedPipe:
		kind = "a FIFO"
	case fs.ModeSocket:
		kind = "a socket"
	case fs.ModeDevice, fs.ModeDevice | fs.ModeCharDevice:
		kind = "a device"
	}
	return fmt.Errorf("%s is %s, not a regular file", path, kind)
}

// invalidUTF8 returns the offset of the first invalid UTF-8 byte, or -1.
func invalidUTF8(s string) int {
	if utf8.ValidString(s) {
		return -1
	}
	for i, r := range s {
		// A replacement character that is really there is three bytes long.
		if r == utf8.RuneError && !strings.HasPrefix(s[i:], "\uFFFD") {
			return i
		}
	}
	return -1
}
