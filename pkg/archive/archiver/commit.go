package archiver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// committed returns the commit of a run that is in the archive already, nil if there is none: this archiver's, of before it was
// killed, or another's. One that is damaged is an error, and the run stays: its key is taken, so somebody has to look.
func (a *Archiver) committed(ctx context.Context, r *run) (*manifest.Commit, error) {
	key, err := a.Cluster.Commit(r.id())
	if err != nil {
		return nil, err
	}
	c, err := manifest.Read(ctx, a.Store, key)
	if errors.Is(err, store.ErrNotExist) {
		return nil, nil
	}
	return c, err
}

// commit writes the marker and reads it back. Of two attempts one commits; the other takes its commit for its own, and its parts back.
func (u *upload) commit(ctx context.Context) (*manifest.Commit, error) {
	status, reason := u.run.outcome()
	c := &manifest.Commit{
		Cluster: string(u.Cluster), Versions: u.versions(), CommittedAt: u.Now().UTC().Truncate(time.Millisecond), Parts: u.parts,
		Run: manifest.Run{
			APIVersion: u.run.APIVersion, Kind: u.run.Kind, Namespace: u.run.Namespace, Name: u.run.Name, UID: string(u.run.UID),
			Created: u.run.CreationTimestamp.UTC(), Completed: u.run.completed(), Status: status, Reason: reason,
			Result: resultOf(&u.run.ObjectMeta), ResultAnnotations: customMetadata(&u.run.ObjectMeta, resultAnnotations),
			SummaryAnnotations: customMetadata(&u.run.ObjectMeta, recordSummaryAnnotations),
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
		return nil, err // it may be there all the same: the parts stay, and the next attempt looks
	}
	stored, err := u.committed(ctx, u.run)
	switch {
	case err != nil:
		return nil, fmt.Errorf("read back: %w", err)
	case stored == nil:
		return nil, fmt.Errorf("%s is not there after it was written", key)
	}
	return stored, u.discard(ctx, stored)
}

// releaseAnnotation is Tekton's: the release that ran it.
const releaseAnnotation = "pipeline.tekton.dev/release"

func (u *upload) versions() manifest.Versions {
	return manifest.Versions{Archiver: u.Version, Kubernetes: u.Kubernetes, Tekton: u.run.Annotations[releaseAnnotation]}
}
