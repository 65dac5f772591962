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

// named is a result as it travels: its name and the raw content of its file.
type named struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// stepResults are the results of one step.
type stepResults struct {
	Name    string  `json:"name"`
	Results []named `json:"results"`
}

// collected is what the files held. Its JSON form is what the patch sets in the TaskRun's status.
type collected struct {
	Results []named       `json:"results,omitempty"`
	Steps   []stepResults `json:"steps,omitempty"`
}

func (c collected) empty() bool { return len(c.Results) == 0 && len(c.Steps) == 0 }

// measured is a result's size, with the words that tell which one it is.
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

// collector reads the files of one TaskRun and holds them to its limits.
type collector struct {
	limits result.Limits
	seen   []measured
	total  int64
	over   []measured // larger than the limit for one result
}

// collect reads the results the options name. A file that does not exist is skipped, as Tekton does. Everything
// else that keeps a value from being exactly its file's content is a *problem: nothing is published then, because
// a TaskRun must not succeed with a part of its results.
func collect(o Options) (collected, error) {
	c := collector{limits: o.Limits}
	var out collected
	var err error
	if out.Results, err = c.folder(o.ResultsDir, o.Results, taskLabel); err != nil {
		return collected{}, err
	}
	for _, s := range o.Steps {
		label := func(name string) string { return stepLabel(s.Step, name) }
		values, err := c.folder(s.Dir, s.Names, label)
		if err != nil {
			return collected{}, err
		}
		if len(values) > 0 {
			out.Steps = append(out.Steps, stepResults{Name: s.Step, Results: values})
		}
	}
	if err := c.tooLarge(); err != nil {
		return collected{}, err
	}
	return out, nil
}

func (c *collector) folder(dir string, names []string, label func(string) string) ([]named, error) {
	var out []named
	for i, name := range names {
		if name == "" || slices.Contains(names[:i], name) {
			continue
		}
		value, ok, err := c.file(dir, name, label(name))
		if err != nil {
			return nil, err
		}
		if ok {
			out = append(out, named{Name: name, Value: value})
		}
	}
	return out, nil
}

// file reads one result. Sizes over a limit are only noted, so that the explanation can name them all; the content
// is then not read.
func (c *collector) file(dir, name, label string) (value string, ok bool, err error) {
	// Tekton admits no such names; should one arrive all the same, it must not read outside the folder.
	if name == "." || name == ".." || strings.ContainsAny(name, "/\x00") {
		return "", false, &problem{
			what:   label + " has a name that is no file name",
			advice: "Rename the result.",
		}
	}
	f, size, err := openRegular(filepath.Join(dir, name))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", false, nil
	case err != nil:
		return "", false, unreadable(label, err)
	}
	defer func() { _ = f.Close() }()
	if c.exceeds(size) {
		c.note(label, size)
		return "", false, nil
	}
	var b strings.Builder
	b.Grow(int(size)) // at most the limit; the memory is taken from the step's own
	// One byte more than allowed, to notice a file that grows or whose size the file system does not tell.
	if _, err := io.Copy(&b, io.LimitReader(f, c.limits.Result+1)); err != nil {
		return "", false, unreadable(label, err)
	}
	content := b.String()
	c.note(label, int64(len(content)))
	if at := invalidUTF8(content); at >= 0 {
		return "", false, &problem{
			what:   fmt.Sprintf("%s is not valid UTF-8 at byte %d of %s, and would be stored changed", label, at, result.Size(len(content))),
			advice: "Encode binary content, for example with base64.",
		}
	}
	return content, true, nil
}

// exceeds reports whether one more file of this size is over a limit.
func (c *collector) exceeds(size int64) bool {
	return size > c.limits.Result || c.total+size > c.limits.TaskRun
}

// note counts a file.
func (c *collector) note(label string, size int64) {
	c.seen = append(c.seen, measured{label, size})
	c.total += size
	if size > c.limits.Result {
		c.over = append(c.over, measured{label, size})
	}
}

func (c *collector) tooLarge() error {
	switch {
	case len(c.over) > 0:
		sortBySize(c.over)
		return &problem{
			what:   fmt.Sprintf("%s, over the limit of %s for one result", list(c.over), result.Size(c.limits.Result)),
			advice: adviceSize,
		}
	case c.total > c.limits.TaskRun:
		sortBySize(c.seen)
		return &problem{
			what: fmt.Sprintf("all results together are %s, over the limit of %s for one TaskRun; the largest: %s",
				result.Size(c.total), result.Size(c.limits.TaskRun), list(c.seen)),
			advice: adviceSize,
		}
	}
	return nil
}

// list names the first few with their sizes.
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
		advice: "A result must be a regular file that the last step's user can read.",
	}
}

// openRegular opens a regular file, or what a symbolic link to one leads to, and returns its size. It never blocks:
// opening a FIFO would wait for a writer, and opening a device may do anything.
func openRegular(path string) (*os.File, int64, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, 0, err
	}
	if !info.Mode().IsRegular() {
		return nil, 0, notRegular(path, info)
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, 0, err
	}
	// Once more on what was opened: a step's leftover process may have swapped the file.
	info, err = f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = notRegular(path, info)
	}
	if err != nil {
		_ = f.Close()
		return nil, 0, err
	}
	return f, info.Size(), nil
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

// invalidUTF8 is the offset of the first byte that is no UTF-8, or -1.
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
