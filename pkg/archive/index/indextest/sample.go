// Package indextest has the tests that every index.Index must pass, and rows to fill an index with.
package indextest

import (
	_ "embed"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/indelible-ci/indelible/pkg/archive/index"
	"github.com/indelible-ci/indelible/pkg/archive/layout"
	"github.com/indelible-ci/indelible/pkg/archive/manifest"
)

// taskRun is of a task that is not in the index's dictionary.
//
//go:embed taskrun.yaml
var taskRun string

// Cluster is the cluster of all rows.
const Cluster = layout.Cluster("prod")

// Created is the creation time of NewRow's first run.
var Created = time.Date(2026, 11, 20, 10, 42, 11, 0, time.UTC)

// NewRow returns the row of the nth run: a TaskRun of 5 KB with events and the log of its step. The
// same n gives the same row. Two runs are created per second, in ten namespaces.
func NewRow(n int) index.Row {
	random := rand.New(rand.NewPCG(uint64(n), 1)) //nolint:gosec // it must be the same each time
	hexadecimal := func(digits int) string {
		bytes := make([]byte, digits/2)
		for i := range bytes {
			bytes[i] = byte(random.IntN(256)) //nolint:gosec // below 256
		}
		return hex.EncodeToString(bytes)
	}
	uid := func() string {
		digits := hexadecimal(32)
		return digits[:8] + "-" + digits[8:12] + "-4" + digits[13:16] + "-a" + digits[17:20] + "-" + digits[20:]
	}
	created := Created.Add(time.Duration(n/2) * time.Second)
	completed := created.Add(time.Duration(10+random.IntN(600)) * time.Second)
	own, owner, pipelineRun := uid(), uid(), "checkout-pr-"+hexadecimal(6)
	namespace := fmt.Sprint("team-", n%10)
	record := record("UID", own, "PIPELINERUN", pipelineRun, "OWNER", owner, "NAMESPACE", namespace, "SHORT",
		hexadecimal(10),
		"SHA1", hexadecimal(40), "SHA2", hexadecimal(40), "NUMBER", fmt.Sprint(10_000_000+random.IntN(1_000_000)),
		"DIGEST1", hexadecimal(64), "DIGEST2", hexadecimal(64), "DIGEST3", strings.Repeat("a3", 32), "DIGEST4",
		hexadecimal(64),
		"DIGEST5", strings.Repeat("5b", 32), "DIGEST6", hexadecimal(64),
		"CREATED", created.Format(time.RFC3339), "STARTED", created.Add(time.Second).Format(time.RFC3339), "COMPLETED",
		completed.Format(time.RFC3339))
	c := &manifest.Commit{
		APIVersion: manifest.APIVersion, Kind: manifest.Kind, Cluster: string(Cluster),
		Versions:    manifest.Versions{Archiver: "v0.4.0", Kubernetes: "v1.36.3", Tekton: "v1.15.0"},
		CommittedAt: completed.Add(time.Duration(random.IntN(1e9))),
		Run: manifest.Run{
			APIVersion: "tekton.dev/v1", Kind: "TaskRun", Namespace: namespace, Name: pipelineRun + "-build-container",
			UID:     own,
			Created: created, Completed: &completed, Status: "True", Reason: "Succeeded", Result: owner,
		},
	}
	writer := hexadecimal(26)
	part := func(kind manifest.PartType, container, name string, content manifest.Sum) {
		key, err := Cluster.Part(c.ID(), writer, name)
		if err != nil {
			panic(err)
		}
		stored := manifest.Sum{Bytes: content.Bytes / 3, SHA256: hexadecimal(64)}
		c.Parts = append(c.Parts, manifest.Part{Type: kind, State: manifest.Complete, Container: container, Key: key,
			Content: &content, Stored: &stored})
	}
	c.Parts = append(c.Parts, manifest.InlinePart(manifest.Record, record))
	part(manifest.Log, "step-compile", "log-0-step-compile.txt", manifest.Sum{Bytes: 5000 + random.Int64N(1000)})
	c.Parts = append(c.Parts, manifest.InlinePart(manifest.Events,
		[]byte(`{"kind":"EventList","items":["`+hexadecimal(2000)+`"]}`)))
	return index.Row{Commit: c.Bare(), Record: record}
}

// taskRunJSON has its fields sorted by name, as records have.
var taskRunJSON = sync.OnceValue(func() string {
	text, err := yaml.YAMLToJSON([]byte(taskRun))
	if err != nil {
		panic(err)
	}
	return string(text)
})

func record(values ...string) []byte {
	return []byte(strings.NewReplacer(values...).Replace(taskRunJSON()))
}

// Move changes the creation time of a row's run, and so its keys.
func Move(row *index.Row, created time.Time) {
	c := row.Commit
	c.Run.Created = created
	for i := range c.Parts {
		if c.Parts[i].InCommit() {
			continue
		}
		_, _, writer, name, err := layout.ParsePart(c.Parts[i].Key)
		if err == nil {
			c.Parts[i].Key, err = layout.Cluster(c.Cluster).Part(c.ID(), writer, name)
		}
		if err != nil {
			panic(err)
		}
	}
}

// Seal makes the commit of a row match its record.
func Seal(row *index.Row) {
	row.Commit.Parts[0] = manifest.InlinePart(manifest.Record, row.Record)
	row.Commit = row.Commit.Bare()
}
