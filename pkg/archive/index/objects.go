package index

import (
	"context"
	"fmt"
	"iter"

	"github.com/indelible-ci/indelible/pkg/archive/object"
)

// PutObjects implements Index.
func (d *database) PutObjects(ctx context.Context, cluster string, objects ...object.Object) error {
	packed := make([]*packedObject, len(objects))
	for i := range objects {
		var err error
		if packed[i], err = packObject(cluster, &objects[i]); err != nil {
			return fmt.Errorf("index: put an object: %w: %w", ErrRefused, err)
		}
	}
	put := change{apply: func(ctx context.Context, b *batch) error {
		for _, p := range packed {
			if err := b.putObject(ctx, p); err != nil {
				return err
			}
		}
		return b.flush(ctx)
	}}
	err := d.writer.do(ctx, put)
	if len(packed) == 1 && d.dialect.refuses(err) {
		packed[0].hot.reduce()
		err = d.writer.do(ctx, put)
	}
	if err != nil {
		return fmt.Errorf("index: put %d objects: %w", len(objects), d.refusal(err))
	}
	return nil
}

// DeleteObjects implements Index.
func (d *database) DeleteObjects(ctx context.Context, cluster string, objects ...object.Object) error {
	err := d.writer.do(ctx, change{apply: func(ctx context.Context, b *batch) error {
		for i := range objects {
			if err := b.deleteObject(ctx, cluster, &objects[i]); err != nil {
				return err
			}
		}
		return nil
	}})
	if err != nil {
		return fmt.Errorf("index: delete %d objects: %w", len(objects), err)
	}
	return nil
}

// objectsPage is how many keys of objects one statement reads.
const objectsPage = 4096

// Objects implements Index.
func (d *database) Objects(ctx context.Context, cluster string) iter.Seq2[object.Object, error] {
	return func(yield func(object.Object, error) bool) {
		last := ""
		for {
			found, err := d.objectsAfter(ctx, cluster, last)
			if err != nil {
				yield(object.Object{}, fmt.Errorf("index: list objects: %w", err))
				return
			}
			for _, o := range found {
				if !yield(o, nil) {
					return
				}
			}
			if len(found) < objectsPage {
				return
			}
			last = found[len(found)-1].Key
		}
	}
}

func (d *database) objectsAfter(ctx context.Context, cluster, last string) (found []object.Object, err error) {
	rows, err := d.read.QueryContext(ctx, `SELECT o.object_key, o.kind, s.namespace, o.result, o.name, o.uid, o.generation FROM indelible_objects o
		JOIN indelible_scopes s ON s.id = o.scope WHERE o.object_key > $1 AND s.cluster = $2 ORDER BY o.object_key LIMIT $3`, last, cluster, objectsPage)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var o object.Object
		var kind int64
		if err := rows.Scan(&o.Key, &kind, &o.Parent, &o.Result, &o.ID, &o.UID, &o.Generation); err != nil {
			return nil, err
		}
		for name, n := range objectKinds {
			if n == kind {
				o.Kind = name
			}
		}
		found = append(found, o)
	}
	return found, rows.Err()
}

// DeleteObjectKeys implements Index.
func (d *database) DeleteObjectKeys(ctx context.Context, cluster string, keys ...string) error {
	err := d.writer.do(ctx, change{apply: func(ctx context.Context, b *batch) error {
		found, err := b.objects(ctx, `object_key`+b.dialect.any("$1",
			words)+` AND scope IN (SELECT id FROM indelible_scopes WHERE cluster = $2)`, b.dialect.list(keys), cluster)
		if err != nil {
			return err
		}
		for _, o := range found {
			var parent string
			if err := b.tx.QueryRowContext(ctx, `SELECT namespace FROM indelible_scopes WHERE id = $1`,
				o.scope).Scan(&parent); err != nil {
				return err
			}
			if err := b.removeObject(ctx, cluster, parent, o); err != nil {
				return err
			}
		}
		return nil
	}})
	if err != nil {
		return fmt.Errorf("index: delete %d objects: %w", len(keys), err)
	}
	return nil
}
