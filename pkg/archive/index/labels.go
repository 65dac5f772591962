package index

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/indelible-ci/indelible/pkg/jsonscan"
)

// Label returns the number by which entries with a label are found in a namespace. Other entries
// may have the same number.
func Label(cluster, namespace, key, value string) int64 {
	return pairOf(cluster, namespace, key, value)
}

// IndexedLabel says whether entries can be found by a label.
func IndexedLabel(key string) bool { return !slices.Contains(unindexed, key) }

// unindexed are labels that almost every run has, with the same value.
var unindexed = []string{"app.kubernetes.io/managed-by", "tekton.dev/memberOf"}

func (h *hot) label(cluster string, labels []byte) {
	if len(labels) == 0 || isNull(labels) {
		return
	}
	err := jsonscan.Members(labels, func(rawKey []byte, at jsonscan.Span) error {
		key, value := string(rawKey), textOf(at.Of(labels))
		switch {
		case !value.Valid || strings.Contains(key, `\`):
			return errShape
		case key == labelPipeline:
			h.pipeline = value
		}
		if !slices.Contains(unindexed, key) {
			h.labels = append(h.labels, pairOf(cluster, h.namespace, key, value.String))
		}
		return nil
	})
	if err != nil {
		h.odd = true
	}
	slices.Sort(h.labels)
	h.labels = slices.Compact(h.labels)
}

// pairOf is the number of a label within a namespace: 8 bytes of a digest. Readers compare the
// label itself, so two labels may share a number.
func pairOf(cluster, namespace, key, value string) int64 {
	sum := sha256.Sum256([]byte(strings.Join([]string{cluster, namespace, key, value}, "\x00")))
	return int64(binary.BigEndian.Uint64(sum[:])) //nolint:gosec // all bits count
}

// labelRow is a row of the table of labels.
type labelRow struct{ label, created, run, group int64 }

// flushLabels inserts in key order: labels are spread all over the table, and in order each page is
// written once.
func (b *batch) flushLabels(ctx context.Context) error {
	slices.SortFunc(b.labels, func(a, b labelRow) int {
		return cmp.Or(cmp.Compare(a.label, b.label), cmp.Compare(a.created, b.created), cmp.Compare(a.run, b.run))
	})
	values := make([]any, 0, len(b.labels)*len(labelsTable.columns))
	for _, l := range b.labels {
		values = append(values, l.label, l.created, l.run, l.group)
	}
	b.labels = b.labels[:0]
	return b.insert(ctx, &labelsTable, values)
}

func (b *batch) deleteLabels(ctx context.Context, id, created int64, labels []int64) error {
	if len(labels) == 0 {
		return nil
	}
	text := fmt.Sprintf( //nolint:gosec // made of constants
		`DELETE FROM indelible_labels WHERE label%s AND created = $2 AND run = $3`, b.dialect.any("$1", numbers))
	_, err := b.tx.ExecContext(ctx, text, b.dialect.list(labels), created, id)
	return err
}
