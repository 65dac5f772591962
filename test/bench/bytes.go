package main

import (
	"context"
	_ "embed" // a log
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// sizedRuns is the number of real runs, with logs and events.
const sizedRuns = 20

// buildLog is 100 lines of a real log: go test -v of two packages of this repository.
//
//go:embed build.log
var buildLog string

// sizedTask has the parameters, results and scripts of a TaskRun of 5 kB, and prints buildLog.
const sizedTask = `
apiVersion: tekton.dev/v1
kind: TaskRun
metadata: {name: NAME, labels: {indelible.dev/archiver: CLASS, app: shop}, annotations: {build.example.test/commit: DIGEST}}
spec:
  params:
  - {name: url, value: "https://git.example.test/shop/checkout.git"}
  - {name: revision, value: DIGEST}
  - {name: image, value: "registry.example.test/shop/checkout:DIGEST"}
  workspaces:
  - {name: output, configMap: {name: log}}
  taskSpec:
    description: Fetches a revision, builds an image of it, and tests what is in there
    params:
    - {name: url, type: string, description: Where the repository is}
    - {name: revision, type: string, description: The commit that is fetched}
    - {name: image, type: string, description: Where the image goes}
    results:
    - {name: commit, type: string, description: The commit that was fetched}
    - {name: digest, type: string, description: Digest of the image that was built}
    workspaces:
    - {name: output}
    steps:
    - name: build
      image: IMAGE
      env:
      - {name: URL, value: $(params.url)}
      - {name: REVISION, value: $(params.revision)}
      - {name: TARGET, value: $(params.image)}
      script: |
        #!/bin/sh
        set -eu
        if command -v git; then
          git init -q /workspace/source
          git -C /workspace/source fetch --depth 1 "$URL" "$REVISION"
          git -C /workspace/source checkout -q FETCH_HEAD
          buildctl build --frontend dockerfile.v0 --local context=/workspace/source --output "type=image,name=$TARGET,push=true"
        fi
        cat $(workspaces.output.path)/build.log
        printf '%s' "$REVISION" > $(results.commit.path)
        printf 'sha256:%s' "$(echo "$TARGET" | sha256sum | cut -c1-64)" > $(results.digest.path)
`

// bytes measures what a run takes in the bucket.
func (b *bench) bytes(ctx context.Context) (rows []row, err error) {
	note("%d TaskRuns with 100 lines of log", sizedRuns)
	p, err := b.startArchiver(ctx, "bytes", setting{logs: "follow"})
	if err != nil {
		return nil, err
	}
	defer func() {
		_, stopErr := p.stop()
		// Otherwise fsck of another archive would look for them there.
		err = errors.Join(err, stopErr, b.removeRuns(context.WithoutCancel(ctx)))
	}()
	if err := b.ready(ctx, p); err != nil {
		return nil, err
	}
	log := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "log"}, Data: map[string]string{"build.log": buildLog}}
	if _, err := b.cluster.Kube.CoreV1().ConfigMaps(b.namespace).Create(ctx, log, metav1.CreateOptions{}); err != nil {
		return nil, err
	}
	for i := range sizedRuns {
		if _, err := b.oneRun(ctx, fmt.Sprintf("bytes-%d", i), sizedTask); err != nil {
			return nil, err
		}
	}
	stored, err := size(p.store())
	if err != nil {
		return nil, err
	}
	content, events := map[manifest.PartType]float64{}, int64(0)
	for c, err := range commits(ctx, p.store()) {
		if err != nil {
			return nil, err
		}
		addContents(content, c)
		n, err := bytesOfEvents(c)
		if err != nil {
			return nil, err
		}
		events += n
	}
	each := func(bytes float64) float64 { return bytes / sizedRuns / 1000 }
	return []row{
		atMost(fmt.Sprintf("bytes in the bucket for a TaskRun of %.1f kB and 100 lines of log (%.1f kB)",
			each(content[manifest.Record]), each(content[manifest.Log])),
			each(float64(stored-events)), 3, "kB"),
		atMost(fmt.Sprintf("the same with its events (%.1f kB)", each(content[manifest.Events])),
			each(float64(stored)), 4, "kB"),
	}, nil
}

// bytesOfEvents returns by how much a commit is smaller without its events.
func bytesOfEvents(c *manifest.Commit) (int64, error) {
	whole, err := manifest.Encode(c)
	if err != nil {
		return 0, err
	}
	rest := *c
	rest.Parts = slices.DeleteFunc(slices.Clone(c.Parts),
		func(p manifest.Part) bool { return p.Type == manifest.Events && p.Inline != nil })
	without, err := manifest.Encode(&rest)
	return int64(len(whole) - len(without)), err
}

// size returns the total size of all files below a folder.
func size(folder string) (int64, error) {
	total := int64(0)
	err := filepath.WalkDir(folder, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			total += info.Size()
		}
		return err
	})
	return total, err
}

// commits returns all commits of an archiver of the bench.
func commits(ctx context.Context, folder string) iter.Seq2[*manifest.Commit, error] {
	return func(yield func(*manifest.Commit, error) bool) {
		in, err := store.NewDirectory(folder)
		if err != nil {
			yield(nil, err)
			return
		}
		for info, err := range in.List(ctx, "clusters/bench/commits/", "") {
			var c *manifest.Commit
			if err == nil {
				c, err = manifest.Read(ctx, in, info.Key)
			}
			if !yield(c, err) || err != nil {
				return
			}
		}
	}
}

// addContents adds up the uncompressed sizes of the parts of a commit.
func addContents(to map[manifest.PartType]float64, c *manifest.Commit) {
	for i := range c.Parts {
		if content := c.Parts[i].Content; content != nil {
			to[c.Parts[i].Type] += float64(content.Bytes)
		}
	}
}

// indexSize returns the size of an SQLite file including its write-ahead log.
func indexSize(file string) (int64, error) {
	total := int64(0)
	for _, name := range []string{file, file + "-wal"} {
		info, err := os.Stat(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return 0, err
		}
		total += info.Size()
	}
	return total, nil
}
