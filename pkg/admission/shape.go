package admission

import "fmt"

// What a JSON text takes in memory depends less on its length than on what it consists of. Two bytes, {}, become a
// Container in a list that grows by copying; {"":1} becomes a map with room for eight. These are bytes of memory for
// each object, each field in it, and each list or element, at the upper end of what our handlers decode into:
// corev1.Pod, and map[string]any.
const (
	objectMemory  = 1536
	fieldMemory   = 96
	elementMemory = 96
	// lengthMemory is what a byte takes of a text that consists of strings.
	lengthMemory = 4
)

// shape counts what a JSON text consists of, outside its strings. elements are commas and lists: one for each
// element, and for each field one more.
type shape struct {
	tooDeep                   bool
	objects, fields, elements int64
}

// shapeOf reads a text up to where it nests deeper than that many levels. It is one pass that jumps over strings.
// What it says about a text that is no JSON is of no consequence.
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

// weight is what a text of that shape is charged, as the length of a text that takes as much memory.
func (s shape) weight() int64 {
	return (s.objects*objectMemory + s.fields*fieldMemory + s.elements*elementMemory) / lengthMemory
}

func (s shape) tooComplexMessage(most int64) string {
	return fmt.Sprintf("the request is too complex: decoding its %d objects, %d fields and %d elements may take %d MiB of "+
		"memory, more than %d MiB", s.objects, s.fields, s.elements, s.weight()*lengthMemory>>20, most*lengthMemory>>20)
}
