package archiver

import (
	"context"
	"iter"

	"k8s.io/client-go/rest"

	"github.com/indelible-ci/indelible/pkg/archive/fsck"
	"github.com/indelible-ci/indelible/pkg/archive/run"
)

// Marked yields the runs of a class that say they are in the archive, for fsck. An error is the
// last that is yielded.
func Marked(ctx context.Context, config *rest.Config, class string) iter.Seq2[fsck.Marked, error] {
	return func(yield func(fsck.Marked, error) bool) {
		c, err := run.NewClient(config)
		if err != nil {
			yield(fsck.Marked{}, err)
			return
		}
		for m, err := range c.All(ctx) {
			if err != nil {
				yield(fsck.Marked{}, err)
				return
			}
			r := run.Run{ObjectMeta: m.ObjectMeta}
			if r.Archived() && r.Labels[run.ClassLabel] == class &&
				!yield(fsck.Marked{Namespace: r.Namespace, Name: r.Name, Run: r.ID()}, nil) {
				return
			}
		}
	}
}
