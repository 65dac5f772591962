package index

import (
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/index/pack"
	"github.com/indelible-ci/indelible/pkg/archive/layout"
	"github.com/indelible-ci/indelible/pkg/archive/manifest"
)

// packedRow is a row in the form of the tables.
type packedRow struct {
	// columns are the first columns of runsTable. batch.hot has the rest.
	columns []any
	// record lacks the spec, which is nil if none was taken out. A spec is packed only if it is not
	// stored yet.
	record, spec, digest []byte
	cluster, uid, result string
	committed            int64
	hot                  hot
}

// packRow rejects a commit that is not valid, or whose record differs: the index must not
// contradict the bucket.
func packRow(row Row) (packedRow, error) {
	c := row.Commit.Bare()
	if err := indexable(c.Run.Namespace, c.Run.Name, c.Run.Result, c.Run.APIVersion+"."+c.Run.Kind); err != nil {
		return packedRow{}, err
	}
	text, err := manifest.EncodeBare(c)
	if err != nil {
		return packedRow{}, err
	}
	if err := checkRecord(c, row.Record); err != nil {
		return packedRow{}, err
	}
	var completed sql.NullInt64
	if c.Run.Completed != nil {
		completed = sql.NullInt64{Int64: c.Run.Completed.Unix(), Valid: true}
	}
	known := knownOf(c.Cluster, c.Run.UID, clean(c.Run.Result), clean(c.Run.Name), clean(c.Run.Namespace),
		c.Run.Created.Unix(), completed)
	hot, head := heat(c.Cluster, c.Run.Namespace, row.Record)
	hot.ofRun(c, &head)
	rest, spec := split(row.Record, &head)
	columns := []any{c.Cluster, c.Run.Namespace, c.Run.Name, c.Run.UID, c.Run.APIVersion, c.Run.Kind, c.Run.Result,
		c.Run.Status, c.Run.Reason,
		c.Run.Created.Unix(), completed, c.CommittedAt.UnixMicro(), pack.Pack(text, known...),
		parentColumn(head.parent(), c.Run.Result)}
	for i := range columns {
		if text, ok := columns[i].(string); ok {
			columns[i] = clean(text)
		}
	}
	hot.clean()
	packed := packedRow{
		columns: columns, record: pack.Pack(rest, known...), cluster: c.Cluster, uid: c.Run.UID,
		result:    clean(c.Run.Result),
		committed: c.CommittedAt.UnixMicro(), hot: hot,
	}
	if spec != nil {
		packed.spec, packed.digest = spec, digestOf(spec)
	}
	return packed, nil
}

// clean removes what Postgres cannot store. The commit has the original.
func clean(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, ""), "\x00", "")
}

// maxKey bounds the texts that are keys of tables, in bytes: the longest data type that a tool may
// write. Postgres indexes 2704 bytes, and two of them are in one key.
const maxKey = 768

// indexable returns an error if one of the texts is longer than any that Kubernetes or the query
// API permits.
func indexable(keys ...string) error {
	for _, key := range keys {
		if len(key) > maxKey {
			return fmt.Errorf("a name or type has %d bytes, more than %d", len(key), maxKey)
		}
	}
	return nil
}

// knownOf returns texts of a commit and record that are in columns as well. Their order is part of
// the schema.
func knownOf(cluster, uid, result, name, namespace string, created int64, completed sql.NullInt64) []string {
	at := time.Unix(created, 0).UTC()
	parts, err := layout.Cluster(cluster).PartsOf(layout.Run{Created: at, UID: uid})
	if err != nil {
		parts = "" // its commit is rejected too
	}
	known := []string{uid, result, name, namespace, at.Format(time.RFC3339), "", parts}
	if completed.Valid {
		known[5] = time.Unix(completed.Int64, 0).UTC().Format(time.RFC3339)
	}
	return known
}

// checkRecord compares a record with its commit. If the record is an object of its own, the commit
// has only its size, and the object its digest.
func checkRecord(c *manifest.Commit, record []byte) error {
	want := c.Parts[0].Content
	sum := sha256.Sum256(record)
	if got := hex.EncodeToString(sum[:]); want.Bytes != int64(len(record)) || want.SHA256 != "" && want.SHA256 != got {
		return fmt.Errorf("record of run %s is %d bytes with sha256 %s, its commit says %d with %s", c.Run.UID,
			len(record), got, want.Bytes, want.SHA256)
	}
	return nil
}

// stored is a row as a statement reads it.
type stored struct {
	cluster, namespace, name, uid, result string
	created                               int64
	completed                             sql.NullInt64
	manifest                              []byte
	// record, spec and specData are set if the statement selects them.
	record, specData []byte
	spec             sql.NullInt64
}

// id is the row's place in lists.
func (s *stored) id() layout.Run {
	return layout.Run{Created: time.Unix(s.created, 0).UTC(), UID: s.uid}
}

// columns returns where to scan a statement's columns, in the order of selectRun and joinRecord.
func (s *stored) columns(withRecord bool) []any {
	to := []any{&s.cluster, &s.namespace, &s.name, &s.uid, &s.result, &s.created, &s.completed, &s.manifest}
	if withRecord {
		to = append(to, &s.record, &s.spec, &s.specData)
	}
	return to
}

func (s *stored) known() []string {
	return knownOf(s.cluster, s.uid, s.result, s.name, s.namespace, s.created, s.completed)
}

func (s *stored) row(withRecord bool) (Row, error) {
	row, err := s.unpack(withRecord)
	if err != nil {
		return Row{}, fmt.Errorf("index: run %s: %w: %w", s.uid, ErrDamaged, err)
	}
	return row, nil
}

func (s *stored) unpack(withRecord bool) (Row, error) {
	key, err := layout.Cluster(s.cluster).Commit(s.id())
	if err != nil {
		return Row{}, err
	}
	text, err := pack.Unpack(s.manifest, s.known()...)
	if err != nil {
		return Row{}, err
	}
	row := Row{}
	if row.Commit, err = manifest.DecodeBare(key, text); err != nil || !withRecord {
		return row, err
	}
	if row.Record, err = s.unpackRecord(); err != nil {
		return Row{}, err
	}
	return row, checkRecord(row.Commit, row.Record)
}

func (s *stored) unpackRecord() ([]byte, error) {
	if s.record == nil || s.spec.Valid != (s.specData != nil) {
		return nil, errors.New("its record is missing or incomplete")
	}
	rest, err := pack.Unpack(s.record, s.known()...)
	if err != nil || !s.spec.Valid {
		return rest, err
	}
	spec, err := pack.Unpack(s.specData)
	if err != nil {
		return nil, err
	}
	return joinSpec(rest, spec)
}

// ErrDamaged is the error of a row that differs from what Put wrote. Rebuild repairs the index.
var ErrDamaged = errors.New("the index is damaged")

// commitOf decodes the commit of a row.
func commitOf(s *stored) (*manifest.Commit, error) {
	row, err := s.row(false)
	if err != nil {
		return nil, fmt.Errorf("index: %w", err)
	}
	return row.Commit, nil
}
