package server

import (
	"context"

	"google.golang.org/protobuf/proto"

	"github.com/indelible-ci/indelible/pkg/archive/query"
)

const (
	// atOnce is how many items are read at a time: runs may have more than a megabyte each.
	atOnce = 50
	// leastPage and largestPage are those that may be asked for.
	leastPage, largestPage = 5, 10_000
	// maxAnswer is when a page is full though more items were asked for, in bytes. Who wants the rest has the token
	// (https://google.aip.dev/158: a server may give fewer). An answer over REST is in memory five times before it is sent.
	maxAnswer = 8 << 20
	// maxLists bounds the lists with data that are read at a time, and with it what they have in memory. Others wait.
	maxLists = 8
)

// paged reads a page in pieces, and ends it where it gets too large. What pages may be asked for says the engine.
func paged[T proto.Message](ctx context.Context, q query.List, list func(context.Context, query.List) (query.Page[T], error)) (query.Page[T], error) {
	if q.PageSize <= atOnce || q.PageSize > largestPage || q.Metadata {
		return list(ctx, q)
	}
	var all query.Page[T]
	bytes := 0
	for left, next := int(q.PageSize), atOnce; ; {
		q.PageSize = int32(piece(left, next)) //nolint:gosec // at most what was asked for
		page, err := list(ctx, q)
		if err != nil {
			return query.Page[T]{}, err
		}
		for _, item := range page.Items {
			bytes += proto.Size(item)
		}
		all.Items, all.NextPageToken = append(all.Items, page.Items...), page.NextPageToken
		left -= len(page.Items)
		if page.NextPageToken == "" || left < leastPage || bytes >= maxAnswer {
			return all, nil
		}
		q.PageToken = page.NextPageToken
		next = max(atOnce, (maxAnswer-bytes)/(bytes/max(len(all.Items), 1)+1))
	}
}

// piece is how many items to read next: no fewer than may be asked for stay for later.
func piece(left, next int) int {
	switch {
	case next >= left:
		return left
	case left-next < leastPage:
		return left - leastPage
	}
	return next
}
