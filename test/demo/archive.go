package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	pipelinev1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/indelible-ci/indelible/test/harness"
)

// deleted is the TaskRun that is read back: the one with the largest results.
const deleted = pipelineRun + "-build"

// readBack deletes a TaskRun from the cluster, shows that it is gone, and reads it and its log from
// the archive.
func readBack(ctx context.Context, out io.Writer, cluster *harness.Cluster) error {
	fmt.Fprintf(out, "\nThe TaskRun %s is deleted, and read back from the archive:\n\n", deleted)
	// It returns when the run is gone, which it is once it is archived.
	if err := show(ctx, out, cluster, "delete", "taskrun", deleted, "-n", namespace, "--timeout=2m"); err != nil {
		return err
	}
	if _, err := cluster.TaskRun(ctx, namespace, deleted); !apierrors.IsNotFound(err) {
		return fmt.Errorf("the deleted TaskRun %s is still in the cluster: %v", deleted,
			err) //nolint:errorlint // nil is an answer too
	}
	for _, args := range [][]string{{}, {"--log", "--step", "compile"}} {
		if err := show(ctx, out, cluster, archived(args...)...); err != nil {
			return err
		}
	}
	return compare(ctx, out, cluster)
}

// archived is kubectl's arguments that read the deleted TaskRun from the archive.
func archived(args ...string) []string {
	return append([]string{"exec", "-n", "indelible-system", "deployment/indelible-archiver", "--", "/archiver", "get",
		namespace + "/" + deleted}, args...)
}

// compare holds the results in the archive against what the Task wrote.
func compare(ctx context.Context, out io.Writer, cluster *harness.Cluster) error {
	text, err := cluster.Kubectl(ctx, archived("-o", "json")...)
	if err != nil {
		return err
	}
	var tr pipelinev1.TaskRun
	if err := json.Unmarshal([]byte(text), &tr); err != nil {
		return fmt.Errorf("decoding the archived TaskRun: %w", err)
	}
	if len(tr.Status.Results) != 5 {
		return fmt.Errorf("the archived TaskRun has %d results, want 5", len(tr.Status.Results))
	}
	fmt.Fprintf(out, "With -o json it is the TaskRun as it was. Its results, compared with what the Tasks wrote:\n\n")
	fmt.Fprintf(out, row, "FROM", "RESULT", "TYPE", "BYTES", "")
	for _, r := range tr.Status.Results {
		if err := reportOne(out, "archive", r.Name, string(r.Type), r.Value); err != nil {
			return err
		}
	}
	return nil
}

// show prints a kubectl command and what it answers.
func show(ctx context.Context, out io.Writer, cluster *harness.Cluster, args ...string) error {
	answer, err := cluster.Kubectl(ctx, args...)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "  $ kubectl %s\n", strings.Join(args, " "))
	for line := range strings.Lines(answer) {
		fmt.Fprintf(out, "    %s\n", strings.TrimSuffix(line, "\n"))
	}
	fmt.Fprintln(out)
	return nil
}
