package index

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/indelible-ci/indelible/pkg/archive/layout"
	"github.com/indelible-ci/indelible/pkg/archive/manifest"
)

// packedRow is a row as the tables have it.
type packedRow struct {
	// columns are those of the statement putRun.
	columns []any
	record  []byte
}

// packRow refuses what is not a whole commit with the record that it names: an index must not say what the bucket does not.
func packRow(row Row) (packedRow, error) {
	c := row.Commit.Bare()
	text, err := manifest.EncodeBare(c)
	if err != nil {
		return packedRow{}, err
	}
	if err := checkRecord(c, row.Record); err != nil {
		return packedRow{}, err
	}
	var completed any
	if c.Run.Completed != nil {
		completed = c.Run.Completed.Unix()
	}
	columns := []any{c.Cluster, c.Run.Namespace, c.Run.Name, c.Run.UID, c.Run.APIVersion, c.Run.Kind, c.Run.Result, c.Run.Status, c.Run.Reason,
		c.Run.Created.Unix(), completed, c.CommittedAt.UnixMicro(), pack(text)}
	for i := range columns {
		if text, ok := columns[i].(string); ok {
			columns[i] = strings.ReplaceAll(text, "\x00", "") // Postgres has no such text; the manifest keeps it
		}
	}
	return packedRow{columns: columns, record: pack(row.Record)}, nil
}

func checkRecord(c *manifest.Commit, record []byte) error {
	want := c.Parts[0].Content
	sum := sha256.Sum256(record)
	if got := hex.EncodeToString(sum[:]); want.Bytes != int64(len(record)) || c.Parts[0].InCommit() && want.SHA256 != got {
		return fmt.Errorf("record of run %s is %d bytes with sha256 %s, its commit says %d with %s", c.Run.UID, len(record), got, want.Bytes, want.SHA256)
	}
	return nil
}

// stored is what a statement reads of a row.
type stored struct {
	cluster, uid     string
	created          int64
	manifest, record []byte
}

// id is where the row stands in lists.
func (s *stored) id() layout.Run {
	return layout.Run{Created: time.Unix(s.created, 0).UTC(), UID: s.uid}
}

func (s *stored) row(withRecord bool) (Row, error) {
	key, err := layout.Cluster(s.cluster).Commit(s.id())
	if err != nil {
		return Row{}, fmt.Errorf("index: %w", err)
	}
	text, err := unpack(s.manifest)
	if err != nil {
		return Row{}, fmt.Errorf("index: commit of run %s: %w", s.uid, err)
	}
	row := Row{}
	if row.Commit, err = manifest.DecodeBare(key, text); err != nil {
		return Row{}, fmt.Errorf("index: %w", err)
	}
	if !withRecord {
		return row, nil
	}
	if s.record == nil {
		return Row{}, fmt.Errorf("index: run %s has no record: %w", s.uid, errDamaged)
	}
	if row.Record, err = unpack(s.record); err != nil {
		return Row{}, fmt.Errorf("index: record of run %s: %w", s.uid, err)
	}
	return row, nil
}

// errDamaged is the error of a database that is not as Put left it.
var errDamaged = errors.New("the index is damaged; rebuild it")

// Equal says whether two rows are of the same commit, whatever their records are.
func Equal(a, b *manifest.Commit) bool {
	first, err := manifest.EncodeBare(a)
	second, err2 := manifest.EncodeBare(b)
	return err == nil && err2 == nil && bytes.Equal(first, second)
}
