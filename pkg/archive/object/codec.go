package object

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/indelible-ci/indelible/pkg/archive/layout"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// apiVersion is the version of the format of generations. New versions of Indelible only add
// fields.
const apiVersion = "archive.indelible.dev/v1"

// MaxData bounds an object's data, in bytes: the default limit of a gRPC message. A generation is
// stored in one request, so that the store's time of it is the time at which it comes into
// existence.
const MaxData = 4 << 20

const maxText = MaxData + 64<<10

// file is a generation as stored: one line of JSON in gzip, as commits are.
type file struct {
	APIVersion string `json:"apiVersion"`
	Cluster    string `json:"cluster"`
	Object
	// DataSum is the digest of Data, if any.
	DataSum string `json:"dataSHA256,omitempty"`
	// Writer is random. A writer whose response was lost recognizes its own generation by it.
	Writer string `json:"writer"`
}

// encode returns the stored form of a generation.
func (o *Objects) encode(object *Object, writer string) (packed []byte, err error) {
	f := file{APIVersion: apiVersion, Cluster: string(o.cluster), Object: *object, Writer: writer}
	if object.Data != nil {
		f.DataSum = digest(object.Data)
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false) // keep data as it is
	if err := encoder.Encode(&f); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if text.Len() > maxText {
		return nil, fmt.Errorf("%w: %d bytes, more than %d", ErrInvalid, text.Len(), maxText)
	}
	return pack(splice(text.Bytes(), object.Unknown)), nil
}

// splice adds fields to a JSON object.
func splice(text []byte, fields map[string]json.RawMessage) []byte {
	if len(fields) == 0 {
		return text
	}
	var more bytes.Buffer
	encoder := json.NewEncoder(&more)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(fields); err != nil {
		return text // cannot happen: they were decoded from JSON
	}
	return append(append(bytes.TrimSuffix(bytes.TrimSpace(text), []byte("}")), ','), more.Bytes()[1:]...)
}

// decode decodes a generation. It returns ErrDamaged if it does not belong to the key.
func (o *Objects) decode(key string, packed []byte) (*file, error) {
	text, err := textOf(key, packed)
	if err != nil {
		return nil, err
	}
	return o.decodeText(key, text)
}

func textOf(key string, packed []byte) ([]byte, error) {
	text, err := unpack(packed)
	if err != nil {
		return nil, fmt.Errorf("object %s: %w: %w", key, ErrDamaged, err)
	}
	return text, nil
}

// decodeText decodes the JSON of a generation. Without a key, the generation's own key is used.
func (o *Objects) decodeText(key string, text []byte) (*file, error) {
	f := &file{}
	if err := decodeJSON(text, f); err != nil {
		return nil, fmt.Errorf("object %s: %w: %w", key, ErrDamaged, err)
	}
	if f.APIVersion != apiVersion && f.APIVersion != "" {
		return nil, fmt.Errorf("object %s: %s: %w", key, f.APIVersion, ErrVersion)
	}
	own, err := layout.Cluster(f.Cluster).Object(f.key())
	if key == "" {
		key = own
	}
	if err == nil && own != key {
		err = fmt.Errorf("it is generation %d of %s in cluster %s", f.Generation, f.Name(), f.Cluster)
	}
	if err == nil && f.Data != nil && f.DataSum != digest(f.Data) {
		err = fmt.Errorf("data is %d bytes with sha256 %s, want %s", len(f.Data), digest(f.Data), f.DataSum)
	}
	if err == nil && f.Data == nil && f.DataSum != "" {
		err = errors.New("its data is missing")
	}
	if err != nil {
		return nil, fmt.Errorf("object %s: %w: %w", key, ErrDamaged, err)
	}
	f.Key = key
	return f, nil
}

// known returns the names of the fields of file.
var known = sync.OnceValue(func() map[string]bool {
	names := map[string]bool{}
	for _, full := range []Object{
		{ID: "x", Type: "x", Data: json.RawMessage("{}"), Deleted: true},
	} {
		text, _ := json.Marshal(file{Object: full, DataSum: "x"})
		var fields map[string]json.RawMessage
		_ = json.Unmarshal(text, &fields)
		for name := range fields {
			names[name] = true
		}
	}
	return names
})

// decodeJSON keeps unknown fields, which a later version has added, so that the next generation
// preserves them.
func decodeJSON(text []byte, f *file) error {
	strict := json.NewDecoder(bytes.NewReader(text))
	strict.DisallowUnknownFields()
	if strict.Decode(f) == nil && f.APIVersion == apiVersion {
		return nil
	}
	*f = file{}
	if err := json.Unmarshal(text, f); err != nil {
		return err
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(text, &fields); err != nil {
		return err
	}
	maps.DeleteFunc(fields, func(name string, _ json.RawMessage) bool { return known()[name] })
	f.Unknown = fields
	return nil
}

// key returns the parsed key of the generation.
func (o *Object) key() layout.ObjectKey {
	k := o.Name().KeyOf()
	k.SetGeneration(o.Generation)
	return k
}

// prepare normalizes an object for writing, or returns ErrInvalid.
func (o *Object) prepare() error {
	if err := o.Name().Check(); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if len(o.Data) > MaxData {
		return fmt.Errorf("%w: data has %d bytes, at most %d are allowed", ErrInvalid, len(o.Data), MaxData)
	}
	if o.Data != nil {
		var compact bytes.Buffer
		if err := json.Compact(&compact, o.Data); err != nil {
			return fmt.Errorf("%w: data is not JSON", ErrInvalid) // the JSON error would show some of the data
		}
		o.Data = compact.Bytes()
	}
	o.Created, o.Updated = micro(o.Created), micro(o.Updated)
	return nil
}

func micro(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

// read reads a generation. It reads again before it reports damage: a cut connection looks like an
// object that ends too early.
func (o *Objects) read(ctx context.Context, key string) (*file, error) {
	data, err := o.readAll(ctx, key)
	if err != nil {
		return nil, err
	}
	f, err := o.decode(key, data)
	if errors.Is(err, ErrDamaged) {
		if data, err = o.readAll(ctx, key); err == nil {
			f, err = o.decode(key, data)
		}
	}
	return f, err
}

func (o *Objects) readAll(ctx context.Context, key string) ([]byte, error) {
	object, err := o.store.Open(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("read object: %w", err)
	}
	data, err := io.ReadAll(io.LimitReader(object, maxText))
	if err = errors.Join(err, object.Close()); err != nil {
		return nil, fmt.Errorf("read object %s: %w", key, err)
	}
	return data, nil
}

// missing reports whether the store does not have the key.
func missing(err error) bool { return errors.Is(err, store.ErrNotExist) }

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

var packers = sync.Pool{New: func() any { return gzip.NewWriter(nil) }}

func pack(text []byte) []byte {
	var packed bytes.Buffer
	z := packers.Get().(*gzip.Writer)
	defer packers.Put(z)
	z.Reset(&packed)
	_, _ = z.Write(text) // a buffer takes everything
	_ = z.Close()
	return packed.Bytes()
}

func unpack(packed []byte) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, fmt.Errorf("unpack: %w", err)
	}
	text, err := io.ReadAll(io.LimitReader(z, maxText+1))
	if err == nil && len(text) > maxText {
		err = fmt.Errorf("more than %d bytes", maxText)
	}
	if err != nil {
		return nil, fmt.Errorf("unpack: %w", err)
	}
	return text, nil
}
