package migrate

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	pb "github.com/tektoncd/results/proto/v1alpha2/results_go_proto"

	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/object"
	"github.com/indelible-ci/indelible/pkg/archive/run"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// finishedRun returns the run in a record if it can become a commit, which never changes: it is
// finished, and the record has the run's UID and namespace. It returns nil for other records, which
// become objects.
func finishedRun(name object.Name, record *pb.Record) *run.Run {
	kind, ok := strings.CutPrefix(record.GetData().GetType(), "tekton.dev/")
	if _, kind, _ = strings.Cut(kind, "."); !ok || !slices.Contains(run.Kinds, kind) {
		return nil
	}
	r, err := run.Parse(record.GetData().GetValue())
	if err != nil || r.Kind != kind || r.Name == "" || !r.Finished() {
		return nil
	}
	if r.Namespace != name.Parent || string(r.UID) != name.ID {
		return nil
	}
	return r
}

// commit imports a run, unless it exists.
func (i *importing) commit(ctx context.Context, name object.Name, r *run.Run, about *about) error {
	one := about.take(name)
	key, err := i.Cluster.Commit(r.ID())
	if err != nil { // created before the first year that keys can have
		return i.object(ctx, object.Object{
			Kind: object.Record, Parent: name.Parent, Result: name.Result, ID: name.ID,
			Type: r.APIVersion + "." + r.Kind, Data: r.Record,
		})
	}
	about.committed[name.ID] = true
	existing, err := manifest.Read(ctx, i.Store, key)
	switch {
	case errors.Is(err, store.ErrNotExist) && i.Compare:
		i.report(isMissing, name.String(), 0)
		return nil
	case errors.Is(err, store.ErrNotExist):
		u := &upload{importing: i, run: r, writer: strings.ToLower(rand.Text()), result: name.Result}
		return u.store(ctx, name, one)
	case err != nil:
		return err
	}
	return i.compareRun(ctx, name, r, existing, one)
}

// compareRun compares a run with its commit, and its log if the commit has the same kind of log.
func (i *importing) compareRun(
	ctx context.Context, name object.Name, r *run.Run, existing *manifest.Commit, one aboutOne,
) error {
	record, err := i.content(ctx, &existing.Parts[0])
	if err != nil {
		return err
	}
	if existing.Run.Result != name.Result || !sameJSON(record, r.Record) {
		i.report(isDifferent, name.String(), 0)
		return nil
	}
	i.report(isThere, name.String(), 0)
	for n := range existing.Parts {
		p := &existing.Parts[n]
		switch {
		case p.Type != manifest.Log || p.Container != "" || one.log == nil:
		case p.State == manifest.Missing: // if the source has the log by now, a Log object replaces it
			name.Kind, name.ID = object.Log, run.LogID(name.Result, name.ID)
			return i.log(ctx, name, one.log)
		default:
			return i.compareLog(ctx, one.log, func() (io.ReadCloser, error) { return manifest.Open(ctx, i.Store, p) })
		}
	}
	return nil
}

func (i *importing) content(ctx context.Context, p *manifest.Part) ([]byte, error) {
	from, err := manifest.Open(ctx, i.Store, p)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(from)
	return data, errors.Join(err, from.Close())
}

// upload is one attempt to store a run.
type upload struct {
	*importing
	run            *run.Run
	writer, result string
	parts          []manifest.Part
	bytes          int64
}

func (u *upload) store(ctx context.Context, name object.Name, one aboutOne) error {
	if err := u.json(ctx, manifest.Record, "record.json", u.run.Record); err != nil {
		return err
	}
	if err := u.logOf(ctx, one.log); err != nil {
		return err
	}
	if one.events != nil {
		if err := u.json(ctx, manifest.Events, "events.json", one.events.GetData().GetValue()); err != nil {
			return err
		}
	}
	return u.commit(ctx, name)
}

// json stores a part that is JSON: in the commit if it is small.
func (u *upload) json(ctx context.Context, of manifest.PartType, name string, content []byte) error {
	var compact bytes.Buffer
	if err := json.Compact(&compact, content); err != nil {
		return fmt.Errorf("%s: it is not JSON", name)
	}
	u.bytes += int64(compact.Len())
	if manifest.FitsInline(compact.Bytes()) {
		u.parts = append(u.parts, manifest.InlinePart(of, compact.Bytes()))
		return nil
	}
	return u.part(ctx, manifest.Part{Type: of, State: manifest.Complete}, name, &compact)
}

func (u *upload) part(ctx context.Context, p manifest.Part, name string, content io.Reader) error {
	key, err := u.Cluster.Part(u.run.ID(), u.writer, name)
	if err != nil {
		return err
	}
	raw, stored, err := manifest.Store(ctx, u.Store, key, content)
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

// logOf stores a log. Tekton Results has one text for all containers of a TaskRun, which becomes a
// log without a container.
func (u *upload) logOf(ctx context.Context, record *pb.Record) error {
	if record == nil {
		return nil
	}
	p := manifest.Part{Type: manifest.Log, State: manifest.Complete}
	content, err := u.Source.Log(ctx, record)
	if errors.Is(err, ErrNoLog) {
		if log, err := parseLog(record); err == nil && log.Status.Size == 0 {
			return nil // nothing was stored
		}
		p.State, p.Reason = manifest.Missing, "it was imported without it"
		u.parts = append(u.parts, p)
		u.count(func(t *Totals) { t.Missing++ })
		return nil
	}
	if err != nil {
		return err
	}
	defer content.Close()
	u.count(func(t *Totals) { t.Logs++ })
	begin, err := io.ReadAll(io.LimitReader(content, manifest.MaxText+1))
	if err != nil {
		return fmt.Errorf("read %s: %w", record.GetName(), err)
	}
	if p.SetText(begin, manifest.MaxTexts) > 0 {
		u.bytes += int64(len(begin))
		u.parts = append(u.parts, p)
		return nil
	}
	if err := u.part(ctx, p, "log-0-all.txt", io.MultiReader(bytes.NewReader(begin), content)); err != nil {
		return err
	}
	u.bytes += u.parts[len(u.parts)-1].Content.Bytes
	return nil
}

// commit writes the commit and reads it back, as the archiver does.
func (u *upload) commit(ctx context.Context, name object.Name) error {
	status, reason := u.run.Outcome()
	c := &manifest.Commit{
		Cluster: string(u.Cluster), Versions: manifest.Versions{Archiver: u.Version},
		CommittedAt: u.Now().UTC().Truncate(time.Millisecond), Parts: u.parts,
		Run: manifest.Run{
			APIVersion: u.run.APIVersion, Kind: u.run.Kind, Namespace: u.run.Namespace, Name: u.run.Name,
			UID: string(u.run.UID), Created: u.run.CreationTimestamp.UTC(), Completed: u.run.Completed(),
			Status: status, Reason: reason, Result: u.result,
			ResultAnnotations:  run.CustomMetadata(&u.run.ObjectMeta, run.ResultAnnotations),
			SummaryAnnotations: run.CustomMetadata(&u.run.ObjectMeta, run.RecordSummaryAnnotations),
		},
	}
	data, err := manifest.Encode(c)
	if err != nil {
		return err
	}
	key, err := c.Key()
	if err != nil {
		return err
	}
	if err := u.Store.Create(ctx, key, bytes.NewReader(data)); err != nil && !errors.Is(err, store.ErrExists) {
		return fmt.Errorf("write commit: %w", err)
	}
	if _, err := manifest.Read(ctx, u.Store, key); err != nil {
		return fmt.Errorf("read back: %w", err)
	}
	u.report(isStored, name.String(), u.bytes)
	return nil
}

// log imports a log that is not in a commit as a Log with this name.
func (i *importing) log(ctx context.Context, name object.Name, record *pb.Record) error {
	existing, err := i.objects.Get(ctx, name)
	if err == nil {
		return i.compareLog(ctx, record, func() (io.ReadCloser, error) { return i.objects.OpenLog(ctx, existing) })
	}
	if !errors.Is(err, object.ErrNotExist) {
		return err
	}
	content, err := i.Source.Log(ctx, record)
	switch {
	case errors.Is(err, ErrNoLog):
		return nil
	case err != nil:
		return err
	}
	defer content.Close()
	i.count(func(t *Totals) { t.Logs++ })
	if i.Compare {
		i.report(isMissing, name.String(), 0)
		return nil
	}
	written, err := i.objects.PutLog(ctx, name, content)
	if err != nil {
		return err
	}
	c, err := object.ContentOf(&written)
	if err == nil {
		i.report(isStored, name.String(), c.Bytes)
	}
	return err
}

// compareLog compares the digests of a log in the source and in the archive.
func (i *importing) compareLog(ctx context.Context, record *pb.Record, open func() (io.ReadCloser, error)) error {
	theirs, err := digestOf(func() (io.ReadCloser, error) { return i.Source.Log(ctx, record) })
	if errors.Is(err, ErrNoLog) {
		return nil
	}
	if err != nil {
		return err
	}
	i.count(func(t *Totals) { t.Logs++ })
	ours, err := digestOf(open)
	switch {
	case errors.Is(err, manifest.ErrNoContent), errors.Is(err, object.ErrNotExist):
		i.report(isMissing, logNameOf(record.GetName()), 0)
		return nil
	case err != nil:
		return err
	}
	what := isThere
	if ours != theirs {
		what = isDifferent
	}
	i.report(what, logNameOf(record.GetName()), 0)
	return nil
}

func digestOf(open func() (io.ReadCloser, error)) (sum [sha256.Size]byte, err error) {
	content, err := open()
	if err != nil {
		return sum, err
	}
	hash := sha256.New()
	_, err = io.Copy(hash, content)
	copy(sum[:], hash.Sum(nil))
	return sum, errors.Join(err, content.Close())
}

// sameJSON reports whether two texts are equal as JSON. Postgres sorts fields and changes spaces.
func sameJSON(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	x, y := canonical(a), canonical(b)
	return x != nil && bytes.Equal(x, y)
}

func canonical(text []byte) []byte {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var value any
	if decoder.Decode(&value) != nil {
		return nil
	}
	again, _ := json.Marshal(value)
	return again
}
