// Command tektonpods writes the Pods that Tekton Pipelines itself creates for a set of TaskRuns,
// one JSON file each, into the folder given as its argument. They are the input of the inject
// package's tests, so that those tests know Tekton's output and not our idea of it.
//
//	cd pkg/admission/inject/testdata/tektonpods && go run . ..
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/tektoncd/pipeline/pkg/apis/config"
	"github.com/tektoncd/pipeline/pkg/apis/pipeline"
	v1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"github.com/tektoncd/pipeline/pkg/pod"
	"github.com/tektoncd/pipeline/test/names"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/version"
	fakediscovery "k8s.io/client-go/discovery/fake"
	"k8s.io/client-go/kubernetes/fake"
	"sigs.k8s.io/yaml"
)

// run is one TaskRun to build a Pod for.
type run struct {
	// task is the TaskSpec, taskRun what its TaskRun's spec says besides it, both YAML.
	task, taskRun string
	annotations   map[string]string
	// flags are settings of Tekton's feature-flags ConfigMap.
	flags map[string]string
}

func main() {
	log.SetFlags(0)
	if len(os.Args) != 2 {
		log.Fatal("usage: tektonpods FOLDER")
	}
	for name, r := range runs {
		p, err := build(name, r)
		if err != nil {
			log.Fatalf("%s: %v", name, err)
		}
		out, err := json.MarshalIndent(p, "", "  ")
		if err != nil {
			log.Fatalf("%s: %v", name, err)
		}
		if err := os.WriteFile(filepath.Join(os.Args[1], name+".json"), append(out, '\n'), 0o644); err != nil {
			log.Fatal(err)
		}
	}
}

func build(name string, r run) (*corev1.Pod, error) {
	names.TestingSeed() // names of script volumes stay the same from one generation to the next
	flags, err := config.NewFeatureFlagsFromMap(r.flags)
	if err != nil {
		return nil, fmt.Errorf("feature flags: %w", err)
	}
	cfg := config.FromContextOrDefaults(context.Background())
	cfg.FeatureFlags = flags
	ctx := config.ToContext(context.Background(), cfg)

	tr := &v1.TaskRun{
		TypeMeta: metav1.TypeMeta{APIVersion: "tekton.dev/v1", Kind: "TaskRun"},
		ObjectMeta: metav1.ObjectMeta{
			Name: name, Namespace: "ci", UID: "6a1f1c5e-0f5b-4f5e-9a0e-0d2f5e0b7c11", Annotations: r.annotations,
		},
	}
	if err := yaml.UnmarshalStrict([]byte(r.taskRun), &tr.Spec); err != nil {
		return nil, fmt.Errorf("TaskRun: %w", err)
	}
	var task v1.TaskSpec
	if err := yaml.UnmarshalStrict([]byte(r.task), &task); err != nil {
		return nil, fmt.Errorf("Task: %w", err)
	}
	tr.SetDefaults(ctx)
	task.SetDefaults(ctx)
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default", Namespace: "ci"}}
	client := fake.NewSimpleClientset(account)
	client.Discovery().(*fakediscovery.FakeDiscovery).FakedServerVersion = &version.Info{Major: "1", Minor: "36"}
	b := pod.Builder{
		Images: pipeline.Images{
			EntrypointImage: "tekton-entrypoint", NopImage: "tekton-nop", ShellImage: "busybox",
			SidecarLogResultsImage: "tekton-sidecarlogresults", WorkingDirInitImage: "tekton-workingdirinit",
		},
		KubeClient: client,
	}
	p, err := b.Build(ctx, tr, task)
	if err != nil {
		return nil, err
	}
	p.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}
	return p, nil
}
