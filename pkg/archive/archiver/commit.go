package archiver

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/run"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// commit writes the commit and reads it back. If another attempt has committed, its commit is
// returned, and this attempt's parts are deleted.
func (u *upload) commit(ctx context.Context) (*manifest.Commit, error) {
	status, reason := u.run.Outcome()
	c := &manifest.Commit{
		Cluster: string(u.Cluster), Versions: u.versions(), CommittedAt: u.Now().UTC().Truncate(time.Millisecond),
		Parts: u.eventsFirst(),
		Run: manifest.Run{
			APIVersion: u.run.APIVersion, Kind: u.run.Kind, Namespace: u.run.Namespace, Name: u.run.Name,
			UID:     string(u.run.UID),
			Created: u.run.CreationTimestamp.UTC(), Completed: u.run.Completed(), Status: status, Reason: reason,
			Result:             run.ResultOf(&u.run.ObjectMeta),
			ResultAnnotations:  run.CustomMetadata(&u.run.ObjectMeta, run.ResultAnnotations),
			SummaryAnnotations: run.CustomMetadata(&u.run.ObjectMeta, run.RecordSummaryAnnotations),
		},
	}
	data, err := manifest.Encode(c)
	if err != nil {
		return nil, err
	}
	key, err := c.Key()
	if err != nil {
		return nil, err
	}
	err = u.Store.Create(ctx, key, bytes.NewReader(data))
	if err != nil && !errors.Is(err, store.ErrExists) {
		return nil, err // it may have been stored: keep the parts, the next attempt reads it
	}
	stored, err := u.findCommit(ctx, u.run)
	switch {
	case err != nil:
		return nil, fmt.Errorf("read back: %w", err)
	case stored == nil:
		return nil, fmt.Errorf("%s is not there after it was written", key)
	}
	return stored, u.discard(ctx, stored)
}

// eventsFirst returns the parts with the events before the logs. Events repeat names and times of
// the record, and gzip refers to what is near in fewer bits: this makes a commit 1 % smaller.
func (u *upload) eventsFirst() []manifest.Part {
	parts := slices.Clone(u.parts)
	slices.SortStableFunc(parts, func(a, b manifest.Part) int { return cmp.Compare(place(a.Type), place(b.Type)) })
	return parts
}

func place(t manifest.PartType) int {
	return slices.Index([]manifest.PartType{manifest.Record, manifest.Events, manifest.Log}, t)
}

// tektonRelease is Tekton's annotation with the version that ran the run.
const tektonRelease = "pipeline.tekton.dev/release"

func (u *upload) versions() manifest.Versions {
	return manifest.Versions{Archiver: u.Version, Kubernetes: u.Kubernetes, Tekton: u.run.Annotations[tektonRelease]}
}
