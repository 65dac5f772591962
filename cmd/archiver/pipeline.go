package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/indelible-ci/indelible/pkg/archive/index"
	"github.com/indelible-ci/indelible/pkg/archive/manifest"
)

// pipelineLogs writes the logs of a PipelineRun's TaskRuns in order of creation, each under a line
// that names the TaskRun.
func (o *getOptions) pipelineLogs(ctx context.Context, a *archive, pipelineRun *manifest.Commit, out io.Writer) error {
	taskRuns, err := childrenOf(ctx, a, pipelineRun)
	if err != nil {
		return err
	}
	if len(taskRuns) == 0 {
		return errors.New("the archive has no TaskRun of this PipelineRun")
	}
	for _, row := range taskRuns {
		if _, err := fmt.Fprintf(out, "==> %s\n", row.Run.Name); err != nil {
			return err
		}
		key, err := row.Key()
		if err != nil {
			return err
		}
		c, err := manifest.Read(ctx, a.store, key) // small logs are in the commit, and not in the index
		if err == nil {
			err = o.writeLogs(ctx, a.store, c, out)
		}
		if err != nil && !errors.Is(err, errNoLog) {
			return fmt.Errorf("TaskRun %s: %w", row.Run.Name, err)
		}
	}
	return nil
}

// childrenOf returns the TaskRuns that a PipelineRun created.
func childrenOf(ctx context.Context, a *archive, pipelineRun *manifest.Commit) ([]*manifest.Commit, error) {
	var children []*manifest.Commit
	for row, err := range a.index.Find(ctx,
		index.Query{Cluster: pipelineRun.Cluster, Namespace: pipelineRun.Run.Namespace,
			Parent: pipelineRun.Run.UID, Kind: "TaskRun"}) {
		if err != nil {
			return nil, err
		}
		children = append(children, row.Commit)
	}
	slices.SortFunc(children, func(one, two *manifest.Commit) int {
		return cmp.Or(one.Run.Created.Compare(two.Run.Created), cmp.Compare(one.Run.Name, two.Run.Name))
	})
	return children, nil
}
