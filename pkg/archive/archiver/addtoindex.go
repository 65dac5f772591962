package archiver

import (
	"context"
	"errors"
	"fmt"
	"io"

	"k8s.io/apimachinery/pkg/types"

	"github.com/indelible-ci/indelible/pkg/archive/index"
	"github.com/indelible-ci/indelible/pkg/archive/manifest"
)

// addToIndex adds a committed run to the index. The row is made from the archive, not from the run
// as read now: the commit may be another attempt's.
func (a *Archiver) addToIndex(ctx context.Context, c *manifest.Commit) error {
	uid := types.UID(c.Run.UID)
	if _, done := a.indexed.Load(uid); a.Index == nil || done {
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
	if err := a.Index.Put(ctx, index.Row{Commit: c, Record: record}); err != nil {
		return err
	}
	a.indexed.Store(uid, struct{}{})
	return nil
}
