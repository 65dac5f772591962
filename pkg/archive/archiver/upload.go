package archiver

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/run"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// upload is one attempt to store a run. Its parts have keys of their own, so two attempts meet only
// in the commit.
type upload struct {
	*Archiver
	run   *run.Run
	id    string
	parts []manifest.Part
	// keys under which an object may have been stored.
	keys []string
	// inlineLogs is how many bytes of logs are in the commit.
	inlineLogs int
	// pods by name, as they were read last.
	pods map[string]podAt
	// silent is the pod whose kubelet this attempt has given up on, because it sends nothing: its
	// other containers would take as long each.
	silent string
}

func newUpload(a *Archiver, r *run.Run) *upload {
	return &upload{Archiver: a, run: r, id: strings.ToLower(rand.Text()), pods: map[string]podAt{}}
}

// record stores the run object.
func (u *upload) record(ctx context.Context) error {
	return u.storeJSON(ctx, manifest.Record, "record.json", u.run.Record)
}

// storeJSON stores a part that is in memory. A small one goes into the commit, and is verified with
// it.
func (u *upload) storeJSON(ctx context.Context, of manifest.PartType, name string, content []byte) error {
	if !manifest.FitsInline(content) {
		return u.storePart(ctx, manifest.Part{Type: of, State: manifest.Complete}, name, bytes.NewReader(content))
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, content); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	u.parts = append(u.parts, manifest.InlinePart(of, compact.Bytes()))
	return nil
}

// logName returns the name of a log's object.
func logName(p *manifest.Part) string { return fmt.Sprintf("log-%d-%s.txt", p.Attempt, p.Container) }

// storeLog stores a log. A small one goes into the commit, and is verified with it.
func (u *upload) storeLog(ctx context.Context, p manifest.Part, content io.Reader) error {
	name := logName(&p)
	begin, err := io.ReadAll(io.LimitReader(content, manifest.MaxText+1))
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if n := p.SetText(begin, manifest.MaxTexts-u.inlineLogs); n > 0 {
		u.inlineLogs += n
		u.parts = append(u.parts, p)
		return nil
	}
	return u.storePart(ctx, p, name, io.MultiReader(bytes.NewReader(begin), content))
}

// storePart stores a part as an object, under the key from layout.Cluster.Part, reads it back and
// compares. After a crash, or an error after which discard fails, the object stays without a
// commit.
func (u *upload) storePart(ctx context.Context, p manifest.Part, name string, content io.Reader) error {
	key, err := u.Cluster.Part(u.run.ID(), u.id, name)
	if err != nil {
		return err
	}
	u.keys = append(u.keys, key)
	raw, stored, err := manifest.Store(ctx, u.Store, key, content)
	// The key is this attempt's own, so an existing object is from an earlier try of the same call;
	// verifying it shows whether it is whole.
	if err != nil && (stored.SHA256 == "" || !errors.Is(err, store.ErrExists)) {
		return fmt.Errorf("%s: %w", name, err)
	}
	p.Key, p.Content, p.Stored = key, &raw, &stored
	u.parts = append(u.parts, p)
	if err := manifest.VerifyStored(ctx, u.Store, &p); err != nil {
		return fmt.Errorf("read %s back: %w", name, err)
	}
	return nil
}

// missing records a part of which there is nothing to store.
func (u *upload) missing(p manifest.Part, reason string) {
	p.State, p.Reason = manifest.Missing, reason
	u.parts = append(u.parts, p)
}

// discard deletes what this attempt has stored and the commit c, if any, does not name. What it
// fails to delete fsck reports as abandoned, and the sweep deletes.
func (u *upload) discard(ctx context.Context, c *manifest.Commit) error {
	named := map[string]bool{}
	if c != nil {
		for i := range c.Parts {
			named[c.Parts[i].Key] = true
		}
	}
	var failed error
	for _, key := range u.keys {
		if !named[key] {
			failed = errors.Join(failed, u.Store.Delete(context.WithoutCancel(ctx), key))
		}
	}
	return failed
}
