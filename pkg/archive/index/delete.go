package index

import (
	"context"
	"errors"

	"github.com/indelible-ci/indelible/pkg/archive/index/pack"
)

// delete removes runs with all that belongs to them, and specs that no other run refers to.
func (b *batch) delete(ctx context.Context, cluster string, uids []string) error {
	found, err := b.find(ctx, cluster, uids)
	if err != nil || len(found) == 0 {
		return err
	}
	results, cells := map[resultKey]bool{}, map[cell]bool{}
	for _, s := range found {
		if err := b.deleteRow(ctx, s); err != nil {
			return err
		}
		scopeID, err := b.intern.scope(ctx, b.tx, scope{s.cluster, s.namespace})
		if err != nil {
			return err
		}
		results[resultKey{scopeID, s.result}] = true
		for _, span := range spans {
			cells[cell{s.group, span, truncate(s.created, span)}] = true
		}
	}
	for key := range results {
		if err := b.recountResult(ctx, key); err != nil {
			return err
		}
	}
	if err := b.recountCells(ctx, cells); err != nil {
		return err
	}
	return b.unshadow(ctx, found)
}

// storedHot is a row with its group.
type storedHot struct {
	stored
	id, group int64
	// Only migrations read committed and kind.
	committed int64
	kind      string
}

func (b *batch) find(ctx context.Context, cluster string, uids []string) (found []*storedHot, err error) {
	rows, err := b.tx.QueryContext(ctx, selectRun+`, d.data, d.spec, NULL, r.id, r.grp FROM indelible_runs r LEFT JOIN indelible_records d ON d.id = r.id
		WHERE r.cluster = $1 AND r.uid`+b.dialect.any("$2", words)+` ORDER BY r.uid`, cluster, b.dialect.list(uids))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		s := &storedHot{}
		if err := rows.Scan(append(s.columns(true), &s.id, &s.group)...); err != nil {
			return nil, err
		}
		found = append(found, s)
	}
	return found, errors.Join(rows.Err(), rows.Close())
}

func (b *batch) deleteRow(ctx context.Context, s *storedHot) error {
	for _, text := range []string{`DELETE FROM indelible_runs WHERE id = $1`,
		`DELETE FROM indelible_records WHERE id = $1`} {
		if _, err := b.tx.ExecContext(ctx, text, s.id); err != nil {
			return err
		}
	}
	if s.spec.Valid {
		if _, err := b.tx.StmtContext(ctx, b.deleteSpec).ExecContext(ctx, s.spec); err != nil {
			return err
		}
	}
	// The labels of a damaged row stay. They refer to no row.
	rest, err := pack.Unpack(s.record, s.known()...)
	if s.record == nil || err != nil {
		return nil
	}
	if s.spec.Valid {
		if rest, err = joinSpec(rest, []byte("null")); err != nil {
			return nil
		}
	}
	h, _ := heat(s.cluster, s.namespace, rest)
	return b.deleteLabels(ctx, s.id, s.created, h.labels)
}
