package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"sigs.k8s.io/yaml"
)

// policyTests say which end-to-end tests try the rules of a policy, by its file in config/policy.
var policyTests = map[string]policyTest{
	"10-policy.yaml":      {tests: "^TestPolicyRules$"},
	"30-pods-policy.yaml": {tests: "^TestForgedPods$", installed: true},
}

type policyTest struct {
	tests string
	// installed says that the tests try the installed policy, which is then changed for their time
	// (installed.go). Without it they read the file when they run, as ../../config/policy/<file>,
	// and put a copy into force.
	installed bool
}

// policyFolder is where the policies are, below the root.
const policyFolder = "config/policy"

// tryPolicies runs, against the cluster of KUBECONFIG, the tests of each policy without each of its
// validations. The tests are built once and run in a copy of the folders they read.
func tryPolicies(root string, only *regexp.Regexp, progress io.Writer) ([]outcome, error) {
	files, err := readPolicies(filepath.Join(root, policyFolder))
	if err != nil {
		return nil, err
	}
	temp, err := os.MkdirTemp("", "mutate")
	if err != nil {
		return nil, fmt.Errorf("make a folder for the build: %w", err)
	}
	defer func() { _ = os.RemoveAll(temp) }()
	dir := filepath.Join(temp, "test/e2e")
	if err := os.CopyFS(filepath.Join(temp, "config"), os.DirFS(filepath.Join(root, "config"))); err != nil {
		return nil, fmt.Errorf("copy config: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	build := exec.Command("go", "test", "-c", "-tags", "e2e", "-o", filepath.Join(dir, "e2e.test"), "./test/e2e")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the end-to-end tests: %w\n%s", err, out)
	}
	var outcomes []outcome
	for _, f := range files {
		tried, err := f.try(temp, dir, only, progress)
		if err != nil {
			return nil, err
		}
		outcomes = append(outcomes, tried...)
	}
	return outcomes, nil
}

// policyFile is a file of config/policy that holds a ValidatingAdmissionPolicy.
type policyFile struct {
	name string
	policyTest
	policy admissionregistrationv1.ValidatingAdmissionPolicy
}

func readPolicies(folder string) ([]policyFile, error) {
	paths, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	if err != nil {
		return nil, err
	}
	var files []policyFile
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("read a policy: %w", err)
		}
		f := policyFile{name: filepath.Base(path)}
		if err := yaml.Unmarshal(text, &f.policy); err != nil {
			return nil, fmt.Errorf("read %s: %w", f.name, err)
		}
		if f.policy.Kind != "ValidatingAdmissionPolicy" {
			continue
		}
		if f.policyTest = policyTests[f.name]; f.tests == "" {
			return nil, fmt.Errorf("%s: no tests are named for it (policyTests in test/mutate/policy.go)", f.name)
		}
		files = append(files, f)
	}
	return files, nil
}

// without returns the policy without one validation, and that one's name.
func (f policyFile) without(i int) (string, *admissionregistrationv1.ValidatingAdmissionPolicy) {
	removed := f.policy.Spec.Validations[i]
	less := f.policy.DeepCopy()
	less.Spec.Validations = append(less.Spec.Validations[:i], less.Spec.Validations[i+1:]...)
	name := removed.Message
	if name == "" {
		name = strings.Join(strings.Fields(removed.Expression), " ")
	}
	return fmt.Sprintf("validation %d: %s", i+1, name), less
}

// try runs the tests of one policy, as it is and without each of its validations.
func (f policyFile) try(temp, dir string, only *regexp.Regexp, progress io.Writer) (outcomes []outcome, err error) {
	force := f.copied(temp)
	if f.installed {
		force = f.inCluster(temp)
	}
	for i := range f.policy.Spec.Validations {
		name, less := f.without(i)
		if !only.MatchString(name) {
			continue
		}
		if len(outcomes) == 0 {
			if killers, err := f.run(dir); err != nil || len(killers) > 0 {
				return nil, fmt.Errorf("%s fails with every validation in place: %v %w", f.tests, killers, err)
			}
			defer func() { err = errors.Join(err, force(f.policy.DeepCopy())) }()
		}
		if err := force(less); err != nil {
			return nil, err
		}
		killers, err := f.run(dir)
		if err != nil {
			return nil, fmt.Errorf("without %s: %w", name, err)
		}
		_, _ = fmt.Fprintf(progress, "… %s: %d tests failed\n", name, len(killers))
		outcomes = append(outcomes, outcome{where: f.name, name: name, killers: killers})
	}
	return outcomes, nil
}

// copied returns a function that writes a policy where the tests read it.
func (f policyFile) copied(temp string) func(*admissionregistrationv1.ValidatingAdmissionPolicy) error {
	path := filepath.Join(temp, policyFolder, f.name)
	return func(p *admissionregistrationv1.ValidatingAdmissionPolicy) error { return writePolicy(path, p) }
}

func writePolicy(path string, p *admissionregistrationv1.ValidatingAdmissionPolicy) error {
	text, err := yaml.Marshal(p)
	if err != nil {
		return fmt.Errorf("write a policy as YAML: %w", err)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		return fmt.Errorf("write the policy's copy: %w", err)
	}
	return nil
}

// policyLimit bounds one run of a policy's tests, namespaces and all.
const policyLimit = 10 * time.Minute

func (f policyFile) run(dir string) ([]string, error) {
	cmd := exec.Command("./e2e.test", "-test.run", f.tests, "-test.timeout", policyLimit.String())
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err == nil {
		return nil, nil
	}
	if failed := failedTests(string(out)); len(failed) > 0 {
		return failed, nil
	}
	return nil, fmt.Errorf("the tests did not run: %w\n%s", err, out)
}
