package engine

import (
	"cmp"
	"context"
	"slices"
	"strings"

	pb "github.com/tektoncd/results/proto/v1alpha2/results_go_proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/indelible-ci/indelible/pkg/archive/query"
	"github.com/indelible-ci/indelible/pkg/archive/query/filter"
)

// bucket is a group of a summary: a time, a name, or null.
type bucket struct {
	null bool
	at   int64
	name string
}

func (b bucket) value() *structpb.Value {
	switch {
	case b.null:
		return structpb.NewNullValue()
	case b.name != "":
		return structpb.NewStringValue(b.name)
	}
	return structpb.NewNumberValue(float64(b.at))
}

// summing is the state of a summary.
type summing struct {
	*listing
	grouping grouping
	buckets  map[bucket]*sums
}

// Summarize implements query.Engine.
func (e *Engine) Summarize(ctx context.Context, q query.Summary) (*pb.RecordListSummary, error) {
	fields, err := parseAggregations(q.Summary)
	if err != nil {
		return nil, err
	}
	s := &summing{listing: &listing{kind: "summary", order: defaultOrder}, buckets: map[bucket]*sums{}}
	if s.grouping, err = parseGrouping(q.GroupBy); err != nil {
		return nil, err
	}
	var by *order
	if strings.TrimSpace(q.OrderBy) != "" && s.grouping.name != "" {
		o, err := parseSummaryOrder(q.OrderBy, fields)
		if err != nil {
			return nil, err
		}
		by = &o
	}
	if s.filter, err = parse(filter.Records, q.Filter); err != nil {
		return nil, err
	}
	if s.reading, err = e.begin(ctx); err != nil {
		return nil, err
	}
	if err := s.choose(ctx, &q.List); err != nil {
		return nil, err
	}
	if err := s.sum(ctx, &q.List); err != nil {
		return nil, unavailable(err)
	}
	return s.answer(fields, by), s.finish(ctx)
}

func (s *summing) answer(fields []string, by *order) *pb.RecordListSummary {
	if s.grouping.name == "" && len(s.buckets) == 0 {
		s.sumsOf(bucket{null: true})
	}
	keys := make([]bucket, 0, len(s.buckets))
	for key := range s.buckets {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b bucket) int {
		n := 0
		if by != nil {
			_, x := s.buckets[a].field(by.Field)
			_, y := s.buckets[b].field(by.Field)
			if n = cmp.Compare(x, y); by.Descending {
				n = -n
			}
		}
		return cmp.Or(n, truthOrder(a.null, b.null), cmp.Compare(a.at, b.at), strings.Compare(a.name, b.name))
	})
	summary := &pb.RecordListSummary{}
	for _, key := range keys {
		row := map[string]*structpb.Value{}
		for _, name := range fields {
			row[name], _ = s.buckets[key].field(name)
		}
		if s.grouping.name != "" {
			row["group_value"] = key.value()
		}
		summary.Summary = append(summary.Summary, &structpb.Struct{Fields: row})
	}
	return summary
}

func truthOrder(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

func (s *summing) sumsOf(b bucket) *sums {
	if s.buckets[b] == nil {
		s.buckets[b] = &sums{}
	}
	return s.buckets[b]
}
