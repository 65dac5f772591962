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
	key, micros := "r.created", "0"
	if s.Updated {
		key = "r.committed"
	}
	if s.Tool && !s.Updated {
		micros = "r.micros"
	}
	tied := "" // ties are sorted by columns that are not in the database index
	if b.tie {
		tied = fmt.Sprintf(", %s, r.uid", micros)
	}
	groups := func(column string) string { return column + d.dialect.any(t.arg(d.dialect.list(s.Groups)), numbers) }
	if s.Path == ByLabel {
		sign := ""
		if s.Tool {
			sign = "-"
		}
		if !s.Updated {
			key = "l.created"
		}
		t.add("SELECT %sl.run, %s%s FROM indelible_labels l", sign, key, tied)
		if b.tie || s.Updated {
			t.add(" JOIN %s r ON r.id = %sl.run", s.table(), sign)
		}
		t.add(" WHERE l.label = {stream}")
		switch {
		case !s.AnyGroup:
			t.add(" AND %s", groups("l.grp"))
		case s.Tool:
			t.add(" AND l.run < 0")
		default:
			t.add(" AND l.run > 0")
		}
		return key
	}
	t.add("SELECT r.id, %s%s FROM %s r WHERE ", key, tied, s.table())
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
			t.add("%s AND %s", texts("r.name"), groups("r.grp + 0"))
		} else {
			// "|| ''" hides the database index that has the order: with few rows sorting is
			// cheaper.
			t.add("%s AND r.cluster || '' = %s AND %s", texts("r.uid"), t.arg(s.Cluster), groups("r.grp + 0"))
		}
	case ByName:
		t.add("%s AND %s", texts("r.name"), groups("r.grp + 0"))
	case ByResult:
		if s.Tool {
			t.add("r.scope%s AND ", d.dialect.any(t.arg(d.dialect.list(s.Scopes)), numbers))
		}
		t.add("%s AND %s", texts("r.result"), groups("r.grp + 0"))
	}
	return key
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
	column := "0"
	if s.Tool && !s.Updated {
		column = "r.micros"
	}
	at := t.arg(micros)
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
