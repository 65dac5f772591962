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

// upload is one attempt to store a run. Its parts have keys of their own, so that it never meets
// another attempt's but in the commit.
type upload struct {
	*Archiver
	run    *run.Run
	writer string
	parts  []manifest.Part
	// keys are those that something may have been stored under.
	keys []string
	// texts is how many bytes logs take in the commit.
	texts int
}

func newUpload(a *Archiver, r *run.Run) *upload {
	return &upload{Archiver: a, run: r, writer: strings.ToLower(rand.Text())}
}

// record stores the run itself.
func (u *upload) record(ctx context.Context) error {
	return u.json(ctx, manifest.Record, "record.json", u.run.Record)
}

// json stores a part that is in memory: in the commit if it is small, with which it is then
// verified.
func (u *upload) json(ctx context.Context, of manifest.PartType, name string, content []byte) error {
	if len(content) > manifest.MaxInline {
		return u.part(ctx, manifest.Part{Type: of, State: manifest.Complete}, name, bytes.NewReader(content))
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, content); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	u.parts = append(u.parts, manifest.InlinePart(of, compact.Bytes()))
	return nil
}

// text stores a log: in the commit if it is small, with which it is then verified.
func (u *upload) text(ctx context.Context, p manifest.Part, content io.Reader) error {
	name := fmt.Sprintf("log-%d-%s.txt", p.Attempt, p.Container)
	begin, err := io.ReadAll(io.LimitReader(content, manifest.MaxText+1))
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if n := p.SetText(begin, manifest.MaxTexts-u.texts); n > 0 {
		u.texts += n
		u.parts = append(u.parts, p)
		return nil
	}
	return u.part(ctx, p, name, io.MultiReader(bytes.NewReader(begin), content))
}

// part stores one part, reads it back and compares. A crash leaves it without a commit, as an error
// does where discard fails.
func (u *upload) part(ctx context.Context, p manifest.Part, name string, content io.Reader) error {
	key, err := u.Cluster.Part(u.run.ID(), u.writer, name)
	if err != nil {
		return err
	}
	u.keys = append(u.keys, key)
	raw, stored, err := manifest.Store(ctx, u.Store, key, content)
	// Nobody else has this key: an object there is ours, which verifying shows.
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

// missing notes that there is nothing to store.
func (u *upload) missing(p manifest.Part, reason string) {
	p.State, p.Reason = manifest.Missing, reason
	u.parts = append(u.parts, p)
}

// discard deletes what this attempt has stored and the commit does not name: nobody will ever refer
// to it. What it does not get to, fsck finds.
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
