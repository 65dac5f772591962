package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/uuid"

	"github.com/indelible-ci/indelible/pkg/archive/run"
	"github.com/indelible-ci/indelible/test/harness"
)

// tasksOf is the number of TaskRuns per PipelineRun of a backlog.
const tasksOf = 3

// madePipelineRun is a finished PipelineRun as stored by the API server.
type madePipelineRun struct {
	namespace, name, class string
	uid                    types.UID
	created                time.Time
}

func pipelineRun(namespace, class string, i int) *madePipelineRun {
	return &madePipelineRun{
		namespace: namespace, class: class, name: fmt.Sprintf("pipeline-%06d", i), uid: uuid.NewUUID(),
		created: time.Now().Add(-time.Hour + time.Duration(i%3000)*time.Second),
	}
}

// child returns its TaskRun i.
func (m *madePipelineRun) child(i int) made {
	return made{namespace: m.namespace, class: m.class, name: fmt.Sprintf("%s-task-%d", m.name, i), created: m.created,
		results: 700, of: m}
}

func (m *madePipelineRun) object() ([]byte, error) {
	at := func(after time.Duration) string { return m.created.Add(after).UTC().Format(time.RFC3339) }
	var children, tasks []any
	for i := range tasksOf {
		task := fmt.Sprint("task-", i)
		children = append(children, map[string]string{"apiVersion": "tekton.dev/v1", "kind": "TaskRun",
			"name":             m.child(i).name,
			"pipelineTaskName": task})
		tasks = append(tasks, map[string]any{"name": task,
			"taskRef": map[string]string{"kind": "Task", "name": "build-image"}})
	}
	return json.Marshal(map[string]any{
		"apiVersion": "tekton.dev/v1", "kind": "PipelineRun",
		"metadata": map[string]any{
			"name": m.name, "namespace": m.namespace, "uid": m.uid, "creationTimestamp": at(0), "generation": 1,
			"finalizers":    []string{run.Finalizer},
			"labels":        map[string]string{run.ClassLabel: m.class, "tekton.dev/pipeline": "release"},
			"managedFields": managedFields(at(0), at(21*time.Second)),
		},
		"spec": map[string]any{"pipelineRef": map[string]string{"name": "release"},
			"timeouts": map[string]string{"pipeline": "1h0m0s"}},
		"status": map[string]any{
			"startTime": at(time.Second), "completionTime": at(25 * time.Second),
			"conditions":      []any{condition("True", "Succeeded", at(25*time.Second))},
			"childReferences": children, "pipelineSpec": map[string]any{"tasks": tasks},
		},
	})
}

// backlogPipelines compares how fast finished PipelineRuns, each after its TaskRuns, get into a
// directory with the same number of TaskRuns alone.
func (b *bench) backlogPipelines(ctx context.Context) (rows []row, err error) {
	runs := b.pipelines * (1 + tasksOf)
	err = b.alone(ctx, func() error {
		var took [2]time.Duration
		for i, each := range []func(context.Context) error{
			b.seedPipelines,
			func(ctx context.Context) error { return b.seed(ctx, runs, finished) },
		} {
			name := fmt.Sprint("pipelines-", i)
			note("a backlog of %d runs, %s", runs, []string{"PipelineRuns and their TaskRuns", "TaskRuns"}[i])
			if err := each(ctx); err != nil {
				return err
			}
			d, err := b.drain(ctx, name, setting{logs: "follow"}, runs)
			if err == nil {
				err = b.fsck(ctx, filepath.Join(b.folder, name), setting{logs: "follow"})
			}
			if err = errors.Join(err, b.removeRuns(context.WithoutCancel(ctx)),
				os.RemoveAll(filepath.Join(b.folder, name))); err != nil {
				return err
			}
			took[i] = d.committed
			// The API server keeps what it has sent to watches: twice this number would not fit.
			err = b.cluster.Local(ctx, "restart", "kube-apiserver")
			if err != nil && !errors.Is(err, harness.ErrNotLocal) {
				return err
			}
		}
		rate := func(i int) float64 { return float64(runs) / took[i].Seconds() }
		rows = []row{
			atLeast(fmt.Sprintf(
				"backlog of %d PipelineRuns of %d TaskRuns each, as a share of the rate of as many TaskRuns",
				b.pipelines, tasksOf), rate(0)/rate(1), .6,
				""),
			says("the two", "%.0f and %.0f runs/s", rate(0), rate(1)),
		}
		return nil
	})
	return rows, err
}

// seedPipelines writes PipelineRuns and their TaskRuns into etcd, PipelineRuns first: their order
// does not matter to the API server, which lists by name.
func (b *bench) seedPipelines(ctx context.Context) error {
	if b.etcd == nil {
		return errNeedsEtcd
	}
	all := make([]*madePipelineRun, b.pipelines)
	for i := range all {
		all[i] = pipelineRun(b.namespace, b.class, i)
	}
	err := b.etcd.write(ctx, len(all), func(i int) (string, []byte, error) {
		object, err := all[i].object()
		return b.prefix("pipelineruns") + all[i].name, object, err
	})
	if err != nil {
		return fmt.Errorf("writing %d PipelineRuns: %w", len(all), err)
	}
	return b.seed(ctx, len(all)*tasksOf, func(i int) made { return all[i/tasksOf].child(i % tasksOf) })
}
