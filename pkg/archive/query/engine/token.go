package engine

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/indelible-ci/indelible/pkg/archive/index"
	"github.com/indelible-ci/indelible/pkg/archive/query"
)

// Page sizes, as Tekton Results has them.
const (
	defaultPage = 50
	minPage     = 5
	maxPage     = 10000
)

func pageSize(n int32, least int) (int, error) {
	switch {
	case n == 0:
		return defaultPage, nil
	case int(n) < least || n > maxPage:
		return 0, invalid("invalid page size (%d): value must be greater than %d and less than %d", n, least, maxPage)
	}
	return int(n), nil
}

// token says where a page begins, and in which list.
type token struct {
	List string `json:"l"`
	At   int64  `json:"t"`
	UID  string `json:"u"`
	Sub  class  `json:"s,omitempty"`
}

// listID is the same for all pages of a list: same kind, place, filter, order and namespaces.
func listID(kind string, q *query.List, order order) string {
	namespaces := slices.Clone(q.Namespaces)
	slices.Sort(namespaces)
	text, err := json.Marshal([]any{kind, q.Parent, q.Result, strings.TrimSpace(q.Filter), order, q.Namespaces == nil,
		namespaces})
	if err != nil {
		panic(err) // texts and lists of texts
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

func (t token) encode() string {
	text, err := json.Marshal(t)
	if err != nil {
		panic(err)
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

// decodeToken returns nil for the first page.
func decodeToken(text, list string) (*token, error) {
	if text = strings.TrimSpace(text); text == "" {
		return nil, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	var t token
	if err == nil {
		err = json.Unmarshal(raw, &t)
	}
	if err != nil || t.UID == "" {
		return nil, invalid("invalid page token")
	}
	if t.List != list {
		return nil,
			invalid("invalid page token: it belongs to a list with another parent, filter or order, or of other namespaces")
	}
	return &t, nil
}

func (t *token) position() *index.Position {
	if t == nil {
		return nil
	}
	return &index.Position{At: t.At, UID: t.UID}
}

// order is what a list is sorted by.
type order struct {
	Field      string
	Descending bool
}

var orderPattern = regexp.MustCompile(`^([\w\.]+)\s*(ASC|asc|DESC|desc)?$`)

// defaultOrder is the order of a list without order_by: newest first.
var defaultOrder = order{"create_time", true}

func parseOrder(text string, fields ...string) (order, error) {
	if text = strings.TrimSpace(text); text == "" {
		return defaultOrder, nil
	}
	explained := fmt.Sprintf("the value must obey the format <%s> [asc|desc]", strings.Join(fields, "|"))
	match := orderPattern.FindStringSubmatch(text)
	if match == nil {
		return order{}, invalid("invalid order by statement:\n%s", explained)
	}
	if !slices.Contains(fields, match[1]) {
		return order{}, invalid("%s: field is unknown or cannot be used in the order by clause\n%s", match[1],
			explained)
	}
	return order{match[1], strings.EqualFold(match[2], "desc")}, nil
}
