package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// guardPackage is where the guard's rules are, below the root.
const guardPackage = "pkg/admission/guard"

// readersAndWriters are files without rules. Fuzz targets compare their reading and writing of JSON
// with encoding/json.
var readersAndWriters = []string{"doc.go", "encode.go", "metrics.go"}

const (
	switchVariable = "INDELIBLE_MUTANT"
	switchSource   = `package guard

import (
	"os"
	"strconv"
)

var ` + switchName + `, _ = strconv.Atoi(os.Getenv("` + switchVariable + `"))
`
	// runLimit ends a test that a missing rule has made endless. The tests take a second.
	runLimit = 40 * time.Second
)

// outcome is what became of the tests without a rule.
type outcome struct {
	where, name string
	// killers are the tests that failed.
	killers []string
}

// tryGuard builds the guard's tests once, with all rules switchable, and runs them without each.
func tryGuard(root string, only *regexp.Regexp, progress io.Writer) ([]outcome, error) {
	temp, err := os.MkdirTemp("", "mutate")
	if err != nil {
		return nil, fmt.Errorf("make a folder for the build: %w", err)
	}
	defer func() { _ = os.RemoveAll(temp) }()
	files, err := overlay(root, temp)
	if err != nil {
		return nil, err
	}
	binary := filepath.Join(temp, "guard.test")
	build := exec.Command("go", "test", "-c", "-vet=off", "-overlay", filepath.Join(temp, "overlay.json"), "-o", binary,
		"./"+guardPackage)
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the guard's tests with switches: %w\n%s", err, out)
	}
	pkg := filepath.Join(root, guardPackage)
	if killers, err := runTests(binary, pkg, 0); err != nil || len(killers) > 0 {
		return nil, fmt.Errorf("the tests fail with every rule in place: %v %w", killers, err)
	}
	if err := allFound(files); err != nil {
		return nil, err
	}
	var outcomes []outcome
	for _, f := range files {
		for _, r := range f.rules {
			if only.MatchString(r.name) {
				outcomes = append(outcomes, outcome{where: f.name, name: r.name, killers: []string{fmt.Sprint(r.id)}})
			}
		}
	}
	_, _ = fmt.Fprintf(progress, "%d rules in %d files\n", len(outcomes), len(files))
	return outcomes, runAll(binary, pkg, outcomes)
}

// allFound fails if equivalents.go names a rule that does not exist.
func allFound(files []instrumented) error {
	left := maps.Clone(equivalents)
	for _, f := range files {
		for _, r := range f.rules {
			delete(left, r.name)
		}
	}
	if len(left) > 0 {
		return fmt.Errorf("equivalents.go names what is no rule: %q", slices.Sorted(maps.Keys(left)))
	}
	return nil
}

// runAll runs the tests once for each outcome, whose only killer is the rule's id until then.
func runAll(binary, pkg string, outcomes []outcome) error {
	var group errgroup.Group
	group.SetLimit(2)
	for i := range outcomes {
		group.Go(func() error {
			var id int
			if _, err := fmt.Sscan(outcomes[i].killers[0], &id); err != nil {
				return err
			}
			killers, err := runTests(binary, pkg, id)
			outcomes[i].killers = killers
			return err
		})
	}
	return group.Wait()
}

// instrumented is a file of the guard's, with its rules.
type instrumented struct {
	name  string
	rules []rule
}

// overlay writes the instrumented files and the map that puts them in the place of the real ones
// (go help build).
func overlay(root, temp string) ([]instrumented, error) {
	paths, err := filepath.Glob(filepath.Join(root, guardPackage, "*.go"))
	if err != nil {
		return nil, err
	}
	replace := map[string]string{filepath.Join(root, guardPackage, "mutant_switch.go"): filepath.Join(temp,
		"mutant_switch.go")}
	if err := os.WriteFile(filepath.Join(temp, "mutant_switch.go"), []byte(switchSource), 0o600); err != nil {
		return nil, fmt.Errorf("write the switch: %w", err)
	}
	var files []instrumented
	next, seen := 0, map[string]int{}
	for _, path := range paths {
		name := filepath.Base(path)
		if strings.HasSuffix(name, "_test.go") || slices.Contains(readersAndWriters, name) {
			continue
		}
		src, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("read a file of the guard: %w", err)
		}
		rules, err := findRules(name, src, &next, seen)
		if err != nil {
			return nil, err
		}
		files = append(files, instrumented{name, rules})
		replace[path] = filepath.Join(temp, name)
		if err := os.WriteFile(replace[path], instrument(src, rules), 0o600); err != nil {
			return nil, fmt.Errorf("write an instrumented file: %w", err)
		}
	}
	body, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return nil, err
	}
	return files, os.WriteFile(filepath.Join(temp, "overlay.json"), body, 0o600)
}

// runTests runs a test binary in its package's folder with one rule switched off, and returns the
// tests that failed.
func runTests(binary, dir string, id int) ([]string, error) {
	cmd := exec.Command(binary, "-test.timeout", runLimit.String())
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d", switchVariable, id))
	out, err := cmd.CombinedOutput()
	if err == nil {
		return nil, nil
	}
	if failed := failedTests(string(out)); len(failed) > 0 {
		return failed, nil
	}
	return nil, fmt.Errorf("rule %d: the tests did not run: %w\n%s", id, err, out)
}

var (
	failLine    = regexp.MustCompile(`(?m)^\s*--- FAIL: (.+) \([0-9.]+s\)$`)
	timeoutLine = regexp.MustCompile(`(?m)^\trunning tests:|^\t\t(\S+) \([0-9.]+s\)$`)
)

// failedTests reads the output of a test binary and returns the innermost tests that failed, or
// were running when the time was up, in the order of their names.
func failedTests(output string) []string {
	var names []string
	for _, m := range failLine.FindAllStringSubmatch(output, -1) {
		names = append(names, m[1])
	}
	if strings.Contains(output, "panic: test timed out") {
		for _, m := range timeoutLine.FindAllStringSubmatch(output, -1) {
			if m[1] != "" {
				names = append(names, m[1])
			}
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	return slices.DeleteFunc(names, func(name string) bool {
		return slices.ContainsFunc(names, func(other string) bool { return strings.HasPrefix(other, name+"/") })
	})
}
