package server

import (
	"context"
	"strconv"
	"testing"

	pb "github.com/tektoncd/results/proto/v1alpha2/results_go_proto"

	"github.com/indelible-ci/indelible/pkg/archive/query"
)

func TestPagesAreReadInPieces(t *testing.T) {
	for what, test := range map[string]struct {
		// there are so many items, of so many bytes.
		there, bytes int
		asked        int32
		metadata     bool
		// want is how many come, in so many pieces, and whether there is more.
		want, pieces int
		more         bool
	}{
		"a page as large as a piece":                  {1000, 10, 50, false, 50, 1, true},
		"the default":                                 {1000, 10, 0, false, 50, 1, true},
		"small items come in two pieces":              {1000, 10, 500, false, 500, 2, true},
		"all that there is":                           {300, 10, 500, false, 300, 2, false},
		"what is left is no page of its own":          {1000, 10, 53, false, 53, 2, true},
		"items without data come at once":             {1000, 10, 500, true, 500, 1, true},
		"a page of large items ends early":            {1000, 1 << 20, 500, false, 50, 1, true},
		"a page of middling items ends when it is so": {1000, 100 << 10, 1000, false, 100, 2, true},
	} {
		t.Run(what, func(t *testing.T) {
			value := make([]byte, test.bytes)
			pieces := 0
			list := func(_ context.Context, q query.List) (page query.Page[*pb.Record], err error) {
				pieces++
				from, _ := strconv.Atoi(q.PageToken)
				size := int(q.PageSize)
				if size == 0 {
					size = 50
				}
				if size < leastPage {
					t.Errorf("a piece of %d", size)
				}
				to := min(from+size, test.there)
				for i := from; i < to; i++ {
					page.Items = append(page.Items, &pb.Record{Name: strconv.Itoa(i), Data: &pb.Any{Value: value}})
				}
				if to < test.there {
					page.NextPageToken = strconv.Itoa(to)
				}
				return page, nil
			}
			got, err := paged(t.Context(), query.List{PageSize: test.asked, Metadata: test.metadata}, list)
			if n := len(got.Items); err != nil || n != test.want || pieces != test.pieces || (got.NextPageToken != "") != test.more {
				t.Errorf("%d items in %d pieces, more %q, %v", n, pieces, got.NextPageToken, err)
			}
			for i, item := range got.Items {
				if item.GetName() != strconv.Itoa(i) {
					t.Fatalf("item %d is %s", i, item.GetName())
				}
			}
		})
	}
}
