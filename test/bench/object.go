package main

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/uuid"

	"github.com/indelible-ci/indelible/pkg/archive/run"
	"github.com/indelible-ci/indelible/test/harness"
)

// made is a finished TaskRun as stored by the API server. It never had a pod.
type made struct {
	namespace, name, class string
	created                time.Time
	// results is the total size of its results in bytes.
	results int
	// released: archived and without finalizer. running: not finished.
	released, running bool
	// revision is a parameter that Tekton has substituted in its copy of the Task, unique by
	// default.
	revision string
	// of is the PipelineRun that created it, or nil.
	of *madePipelineRun
}

// object returns its JSON: about 3 kB, its results, and the managedFields of its three writers.
func (m made) object() ([]byte, error) {
	uid, revision := string(uuid.NewUUID()), orElse(m.revision, digest(20))
	at := func(after time.Duration) string { return m.created.Add(after).UTC().Format(time.RFC3339) }
	annotations := map[string]string{"pipeline.tekton.dev/release": "v1.15.0", "build.example.test/commit": digest(20)}
	metadata := map[string]any{
		"name": m.name, "namespace": m.namespace, "uid": uid, "creationTimestamp": at(0), "generation": 1,
		"annotations": annotations,
		"labels": map[string]string{
			run.ClassLabel: m.class, "app.kubernetes.io/managed-by": "tekton-pipelines",
			"tekton.dev/task": "build-image",
			"app":             "shop",
		},
		"managedFields": managedFields(at(0), at(21*time.Second)),
	}
	if m.of != nil {
		metadata["ownerReferences"] = []any{map[string]any{
			"apiVersion": "tekton.dev/v1", "kind": "PipelineRun", "name": m.of.name, "uid": m.of.uid,
			"controller":         true,
			"blockOwnerDeletion": true,
		}}
	}
	if m.released {
		annotations["indelible.dev/archived"] = at(22 * time.Second)
		annotations["results.tekton.dev/stored"] = "true"
		annotations["results.tekton.dev/result"] = m.namespace + "/results/" + uid
		annotations["results.tekton.dev/record"] = m.namespace + "/results/" + uid + "/records/" + uid
	} else {
		metadata["finalizers"] = []string{run.Finalizer}
	}
	status := map[string]any{
		"startTime": at(time.Second), "taskSpec": taskSpec(revision),
		"conditions": []any{condition("Unknown", "Running", at(time.Second))},
		"provenance": map[string]any{"featureFlags": map[string]any{
			"awaitSidecarReadiness": true, "coschedule": "workspaces", "enableAPIFields": "beta",
			"enableProvenanceInStatus": true,
			"maxResultSize":            4096, "resultExtractionMethod": "termination-message",
			"runningInEnvWithInjectedSidecars": true,
		}},
	}
	if !m.running {
		status["completionTime"] = at(20 * time.Second)
		status["conditions"] = []any{condition("True", "Succeeded", at(20*time.Second))}
		status["results"] = results(m.results)
	}
	return json.Marshal(map[string]any{
		"apiVersion": "tekton.dev/v1", "kind": "TaskRun", "metadata": metadata, "status": status,
		"spec": map[string]any{
			"serviceAccountName": "default", "taskRef": map[string]string{"kind": "Task", "name": "build-image"},
			"timeout": "1h0m0s",
			"params": []any{
				map[string]string{"name": "url", "value": "https://git.example.test/shop/checkout.git"},
				map[string]string{"name": "revision", "value": revision},
			},
		},
	})
}

func condition(status, reason, at string) map[string]string {
	return map[string]string{
		"type": "Succeeded", "status": status, "reason": reason, "message": "All Steps have completed executing",
		"lastTransitionTime": at,
	}
}

// results returns an image's digest, a commit, and a test report that fills up the size.
func results(size int) []any {
	const lines = "ok  \texample.test/shop/%s\t0.%03ds\tcoverage: %d.%d%% of statements\n"
	var report strings.Builder
	for i := 0; report.Len() < size-110; i++ {
		if size > 1<<19 { // fast, and not compressible
			report.WriteString(harness.Sample(size - 110))
			break
		}
		fmt.Fprintf(&report, lines, digest(4), i*37%1000, i*13%100, i%10)
	}
	return []any{
		map[string]string{"name": "digest", "type": "string", "value": "sha256:" + digest(32)},
		map[string]string{"name": "commit", "type": "string", "value": digest(20)},
		map[string]string{"name": "report", "type": "string", "value": report.String()[:max(size-110, 0)]},
	}
}

// taskSpec is Tekton's copy in the status, with substituted scripts.
func taskSpec(revision string) map[string]any {
	script := "#!/bin/sh\nset -eu\ngit -C /workspace/source fetch --depth 1 origin " + revision + "\n" +
		"buildctl build --frontend dockerfile.v0 --local context=/workspace/source --output type=image,push=true\n" +
		"go test -cover ./... | tee /tekton/results/report\nprintf '%s' \"$(cat /tmp/digest)\" > /tekton/results/digest\n"
	declared := func(names ...string) (all []any) {
		for _, name := range names {
			all = append(all, map[string]string{"name": name, "type": "string"})
		}
		return all
	}
	return map[string]any{
		"params": declared("url", "revision"), "results": declared("digest", "commit", "report"),
		"steps": []any{
			map[string]any{"name": "clone", "image": "example.test/git:2.51", "computeResources": map[string]any{},
				"script": script},
			map[string]any{"name": "build", "image": "example.test/buildkit:0.26",
				"computeResources": map[string]any{"requests": map[string]string{"cpu": "500m", "memory": "1Gi"}},
				"script":           script},
		},
	}
}

func managedFields(created, done string) []any {
	entry := func(manager, at, subresource string, fields string) map[string]any {
		e := map[string]any{
			"manager": manager, "operation": "Update", "apiVersion": "tekton.dev/v1", "time": at,
			"fieldsType": "FieldsV1",
			"fieldsV1":   json.RawMessage(fields),
		}
		if subresource != "" {
			e["subresource"] = subresource
		}
		return e
	}
	return []any{
		entry("kubectl-create", created, "",
			`{"f:metadata":{"f:labels":{".":{},"f:app":{},"f:tekton.dev/task":{}}},"f:spec":{".":{},"f:params":{".":{},"k:{\"name\":\"url\"}":{".":{},"f:name":{},"f:value":{}}},"f:serviceAccountName":{},"f:taskRef":{".":{},"f:kind":{},"f:name":{}},"f:timeout":{}}}`),
		entry("controller", done, "",
			`{"f:metadata":{"f:annotations":{".":{},"f:pipeline.tekton.dev/release":{}},"f:finalizers":{".":{},"v:\"`+
				run.Finalizer+`\"":{}},"f:labels":{"f:app.kubernetes.io/managed-by":{}}}}`),
		entry("controller", done, "status",
			`{"f:status":{".":{},"f:completionTime":{},"f:conditions":{},"f:provenance":{".":{},"f:featureFlags":{".":{},"f:awaitSidecarReadiness":{},"f:coschedule":{},"f:enableAPIFields":{},"f:enableProvenanceInStatus":{},"f:maxResultSize":{},"f:resultExtractionMethod":{},"f:runningInEnvWithInjectedSidecars":{}}},"f:results":{},"f:startTime":{},"f:taskSpec":{".":{},"f:params":{},"f:results":{},"f:steps":{}}}}`),
	}
}

// digest returns n random bytes in hexadecimal, as the output of two builds differs.
func digest(bytes int) string {
	b := make([]byte, bytes)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}
