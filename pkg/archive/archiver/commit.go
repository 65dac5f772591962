package archiver

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/run"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// commit writes the commit and reads it back. If another attempt has committed, its commit is
// returned, and this attempt's parts are deleted. So they are if no commit can be made of them.
func (u *upload) commit(ctx context.Context) (*manifest.Commit, error) {
	c := u.head()
	c.Parts = u.eventsFirst()
	data, err := manifest.Encode(c)
	if err != nil {
		return nil, errors.Join(err, u.discard(ctx, nil))
	}
	key, err := c.Key()
	if err != nil {
		return nil, errors.Join(err, u.discard(ctx, nil))
	}
	err = u.Store.Create(ctx, key, bytes.NewReader(data))
	if err != nil && !errors.Is(err, store.ErrExists) {
		return nil, err // it may have been stored: keep the parts, the next attempt reads it
	}
	stored, err := u.findCommit(ctx, u.run.ID())
	switch {
	case err != nil:
		return nil, fmt.Errorf("read back: %w", err)
	case stored == nil:
		return nil, fmt.Errorf("%s is not there after it was written", key)
	}
	return stored, u.discard(ctx, stored)
}

// head returns the commit with the parts so far.
func (u *upload) head() *manifest.Commit {
	status, reason := u.run.Outcome()
	return &manifest.Commit{
		APIVersion: manifest.APIVersion, Kind: manifest.Kind,
		Cluster: string(u.Cluster), Versions: u.versions(), CommittedAt: u.Now().UTC().Truncate(time.Millisecond),
		Parts: u.parts,
		Run: manifest.Run{
			APIVersion: u.run.APIVersion, Kind: u.run.Kind, Namespace: u.run.Namespace, Name: u.run.Name,
			UID:     string(u.run.UID),
			Created: u.run.CreationTimestamp.UTC(), Completed: u.run.Completed(),
			Status: shortened(status), Reason: shortened(reason),
			Result:             run.ResultOf(&u.run.ObjectMeta),
			ResultAnnotations:  run.CustomMetadata(&u.run.ObjectMeta, run.ResultAnnotations),
			SummaryAnnotations: run.CustomMetadata(&u.run.ObjectMeta, run.RecordSummaryAnnotations),
		},
	}
}

// maxField bounds what a commit has of fields that anybody who may write a status or an annotation
// can make as long as an object. Kubernetes' own conditions have reasons of at most 1,024 bytes.
// The record has all of it.
const maxField = 1024

func shortened(field string) string {
	if len(field) <= maxField {
		return field
	}
	return strings.ToValidUTF8(field[:maxField], "") + "…"
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
	return manifest.Versions{Archiver: u.Version, Kubernetes: u.Kubernetes,
		Tekton: shortened(u.run.Annotations[tektonRelease])}
}
