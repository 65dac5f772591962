package fit

import (
	"crypto/sha256"
	"fmt"
	"slices"
)

// worthShortening is the minimum length of a copy to be shortened, in bytes. Its replacement has
// about 120.
const worthShortening = 1024

// mark replaces a shortened text. It identifies the value, which is stored elsewhere.
func mark(text string) string {
	return fmt.Sprintf("[shortened by indelible.dev: %d bytes, sha256:%x]", len(text), sha256.Sum256([]byte(text)))
}

// textsBelow returns the paths of the long strings below a path.
func (o *object) textsBelow(p path) (list []path) {
	o.eachText(p, func(p path, text string) {
		if len(text) >= worthShortening {
			list = append(list, p)
		}
	})
	return list
}

// shorten replaces the values at these paths by marks, largest first, until the object fits into
// size bytes.
func (o *object) shorten(size int, copies []path) {
	lengths := make(map[string]int, len(copies))
	for _, p := range copies {
		lengths[p.String()] = encodedLen(o.at(p...))
	}
	slices.SortStableFunc(copies, func(a, b path) int { return lengths[b.String()] - lengths[a.String()] })
	for _, p := range copies {
		if o.size <= size {
			return
		}
		text, ok := o.at(p...).(string)
		if !ok {
			text = encoded(o.at(p...))
		}
		o.set(mark(text), p)
	}
}
