package archiver

import (
	"context"
	"errors"
	"fmt"
	"io"

	"k8s.io/apimachinery/pkg/types"

	"github.com/indelible-ci/indelible/pkg/archive/index"
	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/run"
)

// addToIndex adds a committed run to the index. The row is made from the archive, not from the run
// as read now: the commit may be another attempt's. A run that the index refuses for what it is
// goes without a row, as index.Sync has it: it would be refused again for ever.
func (a *Archiver) addToIndex(ctx context.Context, c *manifest.Commit) error {
	ref := run.Reference{Kind: c.Run.Kind, Namespace: c.Run.Namespace, Name: c.Run.Name}
	uid := types.UID(c.Run.UID)
	if a.Index == nil || a.notes.isIndexed(ref, uid) {
		return nil
	}
	content, err := manifest.Open(ctx, a.Store, &c.Parts[0])
	if err != nil {
		return err
	}
	record, err := io.ReadAll(content)
	if err = errors.Join(err, content.Close()); err != nil {
		return fmt.Errorf("read the record: %w", err)
	}
	err = a.Index.Put(ctx, index.Row{Commit: c, Record: record})
	if errors.Is(err, index.ErrRefused) {
		a.Metrics.unindexed.Inc()
		a.Log.Error(err, "A run is in the archive and not in the index, which refuses it: archiver fsck names it",
			"run", ref.String())
		err = nil
	}
	if err == nil {
		a.notes.write(ref, uid, func(n *note) { n.indexed = true })
	}
	return err
}
