package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// sizedRuns are Tekton's, with their logs and events.
const sizedRuns = 20

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
	for i := range sizedRuns {
		if _, err := b.oneRun(ctx, fmt.Sprintf("bytes-%d", i)); err != nil {
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
