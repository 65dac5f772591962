package index

import (
	"fmt"
	"strings"
)

// statement builds a statement. The caller's values appear only in the arguments.
type statement struct {
	text strings.Builder
	args []any
}

func (t *statement) arg(value any) string {
	t.args = append(t.args, value)
	return fmt.Sprint("$", len(t.args))
}

func (t *statement) add(format string, args ...any) { fmt.Fprintf(&t.text, format, args...) }

// scan returns the statement of a scan, which selects ids and keys in order.
func (d *database) scan(s *Scan, streams []int64, b *bound, limit int) (string, []any) {
	t := &statement{}
	n := 0
	if len(streams) > 0 {
		n = d.streamArgs(t, streams)
	}
	key := s.from(d, t, b)
	t.bounds(s, b, key)
	direction := ""
	if s.Descending {
		direction = " DESC"
	}
	order := fmt.Sprintf("2%s", direction)
	if b.tie {
		order = fmt.Sprintf("3%s, 4%s", direction, direction)
	}
	t.add(" ORDER BY %s LIMIT %s", order, t.arg(limit))
	text := t.text.String()
	if len(streams) > 0 {
		last := fmt.Sprint("$", len(t.args))
		text = d.dialect.streams(text, n) + " ORDER BY " + order + " LIMIT " + last
	}
	return text, t.args
}

func (s *Scan) table() string {
	if s.Tool {
		return "indelible_objects"
	}
	return "indelible_runs"
}

// from adds everything up to the conditions of the path, and returns the key's column.
func (s *Scan) from(d *database, t *statement, b *bound) (key string) {
	key = "r.created"
	if s.Updated {
		key = "r.committed"
	}
	tied := "" // ties are sorted by columns that are not in the database index
	if b.tie {
		tied = fmt.Sprintf(", %s, r.uid", s.micros())
	}
	if s.Path == ByLabel {
		return s.fromLabels(d, t, key, tied)
	}
	t.add("SELECT r.id, %s%s FROM %s r WHERE ", key, tied, s.table())
	s.wherePath(d, t)
	return key
}

// micros is the column of the microseconds beyond the key.
func (s *Scan) micros() string {
	if s.Tool && !s.Updated {
		return "r.micros"
	}
	return "0"
}

func (s *Scan) fromLabels(d *database, t *statement, key, tied string) string {
	sign := ""
	if s.Tool {
		sign = "-"
	}
	if !s.Updated {
		key = "l.created"
	}
	t.add("SELECT %sl.run, %s%s FROM indelible_labels l", sign, key, tied)
	if tied != "" || s.Updated {
		t.add(" JOIN %s r ON r.id = %sl.run", s.table(), sign)
	}
	t.add(" WHERE l.label = {stream}")
	switch {
	case !s.AnyGroup:
		t.add(" AND %s", s.inGroups(d, t, "l.grp"))
	case s.Tool:
		t.add(" AND l.run < 0")
	default:
		t.add(" AND l.run > 0")
	}
	return key
}

func (s *Scan) inGroups(d *database, t *statement, column string) string {
	return column + d.dialect.any(t.arg(d.dialect.list(s.Groups)), numbers)
}

// wherePath adds the conditions of a path other than ByLabel. "+ 0", and appending an empty text,
// hide database indexes: of few rows sorting costs less.
func (s *Scan) wherePath(d *database, t *statement) {
	texts := func(column string) string { return column + d.dialect.any(t.arg(d.dialect.list(s.Texts)), words) }
	switch s.Path {
	case ByGroup:
		t.add("r.grp = {stream}")
	case ByNamespace:
		t.add("r.namespace = %s AND r.cluster = %s", t.arg(s.Texts[0]), t.arg(s.Cluster))
	case ByCluster:
		t.add("r.cluster = %s", t.arg(s.Cluster))
	case ByUID:
		if s.Tool {
			t.add("%s AND %s", texts("r.name"), s.inGroups(d, t, "r.grp + 0"))
		} else {
			t.add("%s AND r.cluster || '' = %s AND %s", texts("r.uid"), t.arg(s.Cluster), s.inGroups(d, t, "r.grp + 0"))
		}
	case ByName:
		t.add("%s AND %s", texts("r.name"), s.inGroups(d, t, "r.grp + 0"))
	case ByResult:
		if s.Tool {
			t.add("r.scope%s AND ", d.dialect.any(t.arg(d.dialect.list(s.Scopes)), numbers))
		}
		t.add("%s AND %s", texts("r.result"), s.inGroups(d, t, "r.grp + 0"))
	}
}

// bounds adds the conditions for the place in the list.
func (t *statement) bounds(s *Scan, b *bound, key string) {
	created := "r.created"
	if !s.Updated {
		created = key
	}
	if s.From != 0 {
		t.add(" AND %s >= %s", created, t.arg(s.From))
	}
	if s.To != 0 {
		t.add(" AND %s <= %s", created, t.arg(s.To))
	}
	less := ">"
	if s.Descending {
		less = "<"
	}
	if b.behind != nil {
		t.add(" AND %s %s %s", key, less, t.arg(*b.behind))
	}
	if !b.tie {
		return
	}
	t.add(" AND %s = %s", key, t.arg(b.key))
	if b.after == nil {
		return
	}
	_, micros := s.split(b.after.At)
	column, at := s.micros(), t.arg(micros)
	t.add(" AND (%s %s %s OR %s = %s AND r.uid %s= %s)", column, less, at, column, at, less, t.arg(b.after.UID))
}

// streamArgs adds the streams' arguments, which must be first, and returns how many streams the
// statement has.
func (d *database) streamArgs(t *statement, streams []int64) int {
	if d.dialect.name == postgres {
		t.arg(streams)
		return len(streams)
	}
	streams = padded(streams)
	for _, stream := range streams {
		t.arg(stream)
	}
	return len(streams)
}
