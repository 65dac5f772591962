package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// Status prints the versions, what runs and where its log is, and says whether everything runs.
func (s State) Status(ctx context.Context, out io.Writer) error {
	var ended []string
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, c := range s.components() {
		state := "not running"
		if pid := s.running(c.name); pid != 0 {
			state = fmt.Sprintf("pid %d", pid)
		} else {
			ended = append(ended, c.name)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", c.name, state, s.log(c.name))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if len(ended) == len(s.components()) {
		return fmt.Errorf("no cluster runs in %s: start it with up", s)
	}
	if len(ended) > 0 {
		return fmt.Errorf("%s: not running; see the logs, and start what is missing with up", strings.Join(ended, ", "))
	}
	if err := s.printVersions(ctx, out); err != nil {
		return err
	}
	for _, args := range [][]string{{"get", "nodes"}, {"get", "deployments", "--all-namespaces"}} {
		listed, err := s.RunKubectl(ctx, "", args...)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "\n%s", listed)
	}
	return nil
}

// printVersions asks what runs, which may be older than what this tool would build.
func (s State) printVersions(ctx context.Context, out io.Writer) error {
	versions := []struct {
		name string
		ask  func() (string, error)
	}{
		{"Kubernetes", func() (string, error) {
			return s.RunKubectl(ctx, "", "get", "node", nodeName, "--output=jsonpath={.status.nodeInfo.kubeletVersion}")
		}},
		{"containerd", func() (string, error) {
			runtime, err := s.RunKubectl(ctx, "", "get", "node", nodeName,
				"--output=jsonpath={.status.nodeInfo.containerRuntimeVersion}")
			return strings.TrimPrefix(runtime, "containerd://"), err
		}},
		{"runc", func() (string, error) { return runcVersion(ctx) }},
		{"Tekton", func() (string, error) {
			return s.RunKubectl(ctx, "", "get", "configmap", "pipelines-info", "--namespace=tekton-pipelines",
				"--ignore-not-found", "--output=jsonpath={.data.version}")
		}},
	}
	fmt.Fprintln(out)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	var failed []error
	for _, version := range versions {
		found, err := version.ask()
		if err != nil {
			failed = append(failed, fmt.Errorf("version of %s: %w", version.name, err))
		} else if found == "" {
			failed = append(failed, fmt.Errorf("%s is not installed: finish with up", version.name))
		}
		fmt.Fprintf(table, "%s\t%s\n", version.name, plainVersion(found))
	}
	return errors.Join(append(failed, table.Flush())...)
}

func runcVersion(ctx context.Context) (string, error) {
	printed, err := run(ctx, "", "runc", "--version")
	first, _, _ := strings.Cut(printed, "\n")
	return strings.TrimPrefix(first, "runc version "), err
}

// plainVersion spells every version alike.
func plainVersion(version string) string {
	version = strings.TrimPrefix(strings.TrimSpace(version), "v")
	if version == "" {
		return "unknown"
	}
	return version
}
