package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/indelible-ci/indelible/pkg/archive/index"
	"github.com/indelible-ci/indelible/pkg/archive/manifest"
)

// pipelineLogs writes the logs of a PipelineRun's TaskRuns, in the order in which they were created, each under a line that names it.
func (o *getOptions) pipelineLogs(ctx context.Context, a *archive, pipelineRun *manifest.Commit, out io.Writer) error {
	taskRuns, err := childrenOf(ctx, a, pipelineRun)
	if err != nil {
		return err
	}
	if len(taskRuns) == 0 {
		return errors.New("the archive has no TaskRun of this PipelineRun")
	}
	for _, c := range taskRuns {
		if _, err := fmt.Fprintf(out, "==> %s\n", c.Run.Name); err != nil {
			return err
		}
		if err := o.writeLogs(ctx, a.store, c, out); err != nil && !errors.Is(err, errNoLog) {
			return fmt.Errorf("TaskRun %s: %w", c.Run.Name, err)
		}
	}
	return nil
}

// childrenOf returns the TaskRuns that a PipelineRun controls. They are in its Result, with others of the same event perhaps.
func childrenOf(ctx context.Context, a *archive, pipelineRun *manifest.Commit) ([]*manifest.Commit, error) {
	q := index.Query{Cluster: pipelineRun.Cluster, Namespace: pipelineRun.Run.Namespace, Result: pipelineRun.Run.Result, Kind: "TaskRun", Records: true}
	var children []*manifest.Commit
	for row, err := range a.index.Find(ctx, q) {
		if err != nil {
			return nil, err
		}
		var record metav1.PartialObjectMetadata
		if err := json.Unmarshal(row.Record, &record); err != nil {
			return nil, fmt.Errorf("record of run %s: %w", row.Commit.Run.UID, err)
		}
		for _, owner := range record.OwnerReferences {
			if string(owner.UID) == pipelineRun.Run.UID {
				children = append(children, row.Commit)
			}
		}
	}
	slices.SortFunc(children, func(one, two *manifest.Commit) int {
		return cmp.Or(one.Run.Created.Compare(two.Run.Created), cmp.Compare(one.Run.Name, two.Run.Name))
	})
	return children, nil
}
