package main

import (
	"context"
	_ "embed" // a log
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// sizedRuns are Tekton's, with their logs and events.
const sizedRuns = 20

// buildLog is a hundred lines of a real log: of go test -v on two of this repository's packages.
//
//go:embed build.log
var buildLog string

// sizedTask has the parameters, results and scripts that a TaskRun of 5 KB has, and the log above.
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
    - {name: output, description: What the build prints}
    steps:
    - name: build
      image: IMAGE
      env:
      - {name: URL, value: $(params.url)}
      - {name: REVISION, value: $(params.revision)}
      - {name: TARGET, value: $(params.image)}
      computeResources: {requests: {cpu: 10m, memory: 16Mi}}
      script: |
        #!/bin/sh
        set -eu
        if command -v git; then
          git init -q /workspace/source
          git -C /workspace/source remote add origin "$URL"
          git -C /workspace/source fetch --depth 1 origin "$REVISION"
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
		err = errors.Join(err, stopErr)
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
	content, err := contents(ctx, p.store())
	if err != nil {
		return nil, err
	}
	return []row{
		atMost("bytes in the bucket for a run with log and events", float64(stored)/sizedRuns/1000, 3, "kB"),
		says("of which before compression", "record %.1f kB, log of 100 lines %.1f kB, events %.1f kB", content[manifest.Record]/sizedRuns/1000,
			content[manifest.Log]/sizedRuns/1000, content[manifest.Events]/sizedRuns/1000),
	}, nil
}

// size adds up the sizes of all files below a folder.
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

// contents adds up what the parts of all commits were before they were compressed, in bytes.
func contents(ctx context.Context, folder string) (map[manifest.PartType]float64, error) {
	in, err := store.NewDirectory(folder)
	if err != nil {
		return nil, err
	}
	sums := map[manifest.PartType]float64{}
	for info, err := range in.List(ctx, "clusters/bench/commits/", "") {
		if err != nil {
			return nil, err
		}
		commit, err := manifest.Read(ctx, in, info.Key)
		if err != nil {
			return nil, err
		}
		for _, part := range commit.Parts {
			if part.Content != nil {
				sums[part.Type] += float64(part.Content.Bytes)
			}
		}
	}
	return sums, nil
}

// indexSize is the size of an SQLite file and of its write-ahead log, which is part of it until the next checkpoint.
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
