package fit

import (
	"crypto/sha256"
	"fmt"
	"slices"
)

// worthShortening is the length in bytes from which on a copy is shortened. What takes its place has about 120.
const worthShortening = 1024

// mark is what takes the place of a text that was shortened. It says enough to recognize the value, which is elsewhere.
func mark(text string) string {
	return fmt.Sprintf("[shortened by indelible.dev: %d bytes, sha256:%x]", len(text), sha256.Sum256([]byte(text)))
}

// textsBelow are the paths of the long strings below a path.
func (o *object) textsBelow(p path) (list []path) {
	o.eachText(p, func(p path, text string) {
		if len(text) >= worthShortening {
			list = append(list, p)
		}
	})
	return list
}

// shorten marks what these paths lead to, the largest first, until the object has no more bytes than it should.
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
