package object

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// PutLog writes or replaces the content of a log, in constant memory. It returns the object, whose
// Data is a Content. The content is stored and verified before the generation that names it: a
// crash in between leaves a content that no Log names, which Sweep deletes.
func (o *Objects) PutLog(ctx context.Context, name Name, content io.Reader) (Object, error) {
	written, err := o.putLog(ctx, name, content)
	if err != nil {
		return Object{}, fmt.Errorf("write %s: %w", name, err)
	}
	return written, nil
}

func (o *Objects) putLog(ctx context.Context, name Name, content io.Reader) (Object, error) {
	if name.Kind != Log {
		return Object{}, fmt.Errorf("%w: it is a %s", ErrInvalid, name.Kind)
	}
	h, _, err := o.find(ctx, name)
	if err != nil {
		return Object{}, err
	}
	c, err := o.storeContent(ctx, h, content)
	if err != nil {
		return Object{}, err
	}
	return o.replaceLog(ctx, name, h.Epoch, c)
}

// HideLog hides a log that is in a commit, which never changes. Delete undoes this. Use Delete for
// a log that a tool wrote.
func (o *Objects) HideLog(ctx context.Context, name Name) (Object, error) {
	if name.Kind != Log {
		return Object{}, fmt.Errorf("hide %s: %w: it is a %s", name, ErrInvalid, name.Kind)
	}
	h, _, err := o.find(ctx, name)
	var hidden Object
	if err == nil {
		hidden, err = o.replaceLog(ctx, name, h.Epoch, Content{Hidden: true, SHA256: digest(nil)})
	}
	if err != nil {
		return Object{}, fmt.Errorf("hide %s: %w", name, err)
	}
	return hidden, nil
}

func (o *Objects) replaceLog(ctx context.Context, name Name, epoch int64, c Content) (Object, error) {
	data, err := json.Marshal(c)
	if err != nil {
		return Object{}, err
	}
	now := micro(o.now())
	object := Object{
		Kind: Log, Parent: name.Parent, Result: name.Result, ID: name.ID, Created: now, Updated: now, Data: data,
	}
	if err := object.prepare(); err != nil {
		return Object{}, err
	}
	return o.replace(ctx, epoch, object)
}

// replace writes the next generation, even if other writers have changed the object meanwhile.
func (o *Objects) replace(ctx context.Context, epoch int64, object Object) (Object, error) {
	for range maxLooks {
		began := o.now()
		h, current, err := o.find(ctx, object.Name())
		if err != nil {
			return Object{}, err
		}
		if h.Epoch != epoch {
			return Object{}, ErrNotExist // the Result was deleted meanwhile, with the content
		}
		next := object
		if current != nil {
			next = current.succeededBy(object)
		} else {
			k := h.next()
			next.UID, next.Generation = uuid.NewString(), k.Generation()
		}
		written, err := o.put(ctx, next, h, began)
		if !errors.Is(err, ErrConflict) {
			return written, err
		}
	}
	return Object{}, errMoved
}

// storeContent stores a content for the generation after a head, unless it is small.
func (o *Objects) storeContent(ctx context.Context, h head, content io.Reader) (Content, error) {
	small, err := io.ReadAll(io.LimitReader(content, manifest.MaxText+1))
	if err != nil {
		return Content{}, fmt.Errorf("read content: %w", err)
	}
	if len(small) <= manifest.MaxText && utf8.Valid(small) {
		text := string(small)
		return Content{Bytes: int64(len(small)), SHA256: digest(small), Text: &text}, nil
	}
	key, err := o.cluster.Content(h.next(), strings.ToLower(rand.Text()))
	if err != nil {
		return Content{}, err
	}
	sum := sha256.New()
	whole := io.MultiReader(bytes.NewReader(small), content)
	raw, stored, err := manifest.Store(ctx, o.store, key, io.TeeReader(whole, sum))
	// A client that retries after a lost response meets its own object.
	if err != nil && (!errors.Is(err, store.ErrExists) || stored.SHA256 == "") {
		return Content{}, err
	}
	c := Content{
		Bytes: raw.Bytes, SHA256: hex.EncodeToString(sum.Sum(nil)), Part: key,
		Stored: &Stored{stored.Bytes, stored.SHA256},
	}
	if err := manifest.VerifyStored(ctx, o.store, c.asPart()); err != nil {
		return Content{}, fmt.Errorf("read back: %w", err)
	}
	return c, nil
}

// asPart returns the content as the part of a run.
func (c *Content) asPart() *manifest.Part {
	p := &manifest.Part{
		Type: manifest.Log, State: manifest.Complete, Key: c.Part, Content: &manifest.Sum{Bytes: c.Bytes},
	}
	if c.Stored != nil {
		p.Stored = &manifest.Sum{Bytes: c.Stored.Bytes, SHA256: c.Stored.SHA256}
	}
	return p
}

// ContentOf decodes a Log's data.
func ContentOf(log *Object) (*Content, error) {
	c := &Content{}
	if err := json.Unmarshal(log.Data, c); err != nil {
		return nil, fmt.Errorf("content of %s: %w: %w", log.Name(), ErrDamaged, err)
	}
	if c.Text == nil && (c.Part == "" || c.Stored == nil) && !c.Hidden {
		return nil, fmt.Errorf("content of %s: %w: neither text nor part", log.Name(), ErrDamaged)
	}
	if c.Text != nil && (digest([]byte(*c.Text)) != c.SHA256 || int64(len(*c.Text)) != c.Bytes) {
		return nil, fmt.Errorf("content of %s: %w", log.Name(), ErrDamaged)
	}
	return c, nil
}

// OpenLog returns the content of a Log that Get or PutLog returned. Only a reader that reaches
// io.EOF knows that it is what was written.
func (o *Objects) OpenLog(ctx context.Context, log Object) (io.ReadCloser, error) {
	c, err := ContentOf(&log)
	if err != nil {
		return nil, err
	}
	if c.Hidden {
		return nil, fmt.Errorf("content of %s: %w: it is hidden", log.Name(), ErrNotExist)
	}
	if c.Text != nil {
		return io.NopCloser(strings.NewReader(*c.Text)), nil
	}
	content, err := manifest.Open(ctx, o.store, c.asPart())
	if err != nil {
		return nil, fmt.Errorf("content of %s: %w", log.Name(), err)
	}
	return content, nil
}

// verify reads a content to its end and compares both digests.
func verify(ctx context.Context, from store.Store, c *Content) error {
	content, err := manifest.Open(ctx, from, c.asPart())
	if err != nil {
		return err
	}
	sum := sha256.New()
	_, err = io.Copy(sum, content)
	if err = errors.Join(err, content.Close()); err != nil {
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != c.SHA256 {
		return fmt.Errorf("content %s: %w: sha256 %s, want %s", c.Part, ErrDamaged, got, c.SHA256)
	}
	return nil
}
