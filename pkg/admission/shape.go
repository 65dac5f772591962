package admission

import "fmt"

// The memory for a decoded JSON text depends less on its length than on its structure. The two
// bytes {} may become a Container in a list that grows by copying; {"":1} becomes a map with room
// for eight. These are bytes of memory per object, per field, and per list or element, at the upper
// end of what our handlers decode into: corev1.Pod and map[string]any.
const (
	objectMemory  = 1536
	fieldMemory   = 96
	elementMemory = 96
	// lengthMemory is memory per byte of a text that consists of strings.
	lengthMemory = 4
)

// shape counts the structure of a JSON text, outside its strings. elements counts commas and lists:
// one per element, and one more per field.
type shape struct {
	tooDeep                   bool
	objects, fields, elements int64
}

// shapeOf scans a text until it nests deeper than levels, in one pass that skips strings. For
// invalid JSON the result does not matter.
func shapeOf(text []byte, levels int) (s shape) {
	depth := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			i += stringLength(text[i+1:])
		case ',':
			s.elements++
		case ':':
			s.fields++
		case '{', '[':
			if text[i] == '{' {
				s.objects++
			} else {
				s.elements++
			}
			if depth++; depth > levels {
				s.tooDeep = true
				return s
			}
		case '}', ']':
			depth--
		}
	}
	return s
}

// weight is what a text of that shape counts: the length of a text of strings that takes as much
// memory.
func (s shape) weight() int64 {
	return (s.objects*objectMemory + s.fields*fieldMemory + s.elements*elementMemory) / lengthMemory
}

func (s shape) tooComplexMessage(most int64) string {
	return fmt.Sprintf("the request is too complex: decoding its %d objects, %d fields and %d elements "+
		"may take %d MiB of memory, more than %d MiB", s.objects, s.fields, s.elements, s.weight()*lengthMemory>>20,
		most*lengthMemory>>20)
}
