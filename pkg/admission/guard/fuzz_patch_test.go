package guard

import (
	"fmt"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
)

// The patch from one list to another, applied by the API server's library, gives the other. Each
// list is a string in which two bytes make an element: which name, and what else it has.
func FuzzPatchList(f *testing.F) {
	for _, seed := range [][2]string{
		{"", "a0"}, {"a0", ""}, {"a0b1", "a0c2b1"}, {"a0b1", "b1a0"}, {"a0a1b0", "a0b0"}, {"a0b1c2", "c2"}, {"a1b2c3d4",
			"a5b6c7d8"},
		{"e9", "e1"}, {"e1", "e9"}, {"a0b0c0", "a0"}, {"a7", "a0"}, {"a6b0", "b0a6"}, {"f5", "f4"}, {"a1", "a0"},
		{"a3b1",
			"a2b1"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, from, to string) {
		for _, present := range []bool{true, from != ""} {
			applied(t, patchList("/list", present, entriesOf(from), entriesOf(to)), present, entriesOf(from),
				entriesOf(to))
			applied(t, patchList("/list", present, stepsOf(from), stepsOf(to)), present, stepsOf(from), stepsOf(to))
		}
	})
}

func applied[T item[T]](t *testing.T, ops []operation, present bool, from, to []T) {
	t.Helper()
	object := func(present bool, list []T) string {
		if !present {
			return `{}`
		}
		return fmt.Sprintf(`{"list":%s}`, encodeList(list))
	}
	before, want := object(present, from), object(len(to) > 0, to)
	got := []byte(before)
	if len(ops) > 0 { // no answer carries an empty patch
		patch, err := jsonpatch.DecodePatch(encodePatch(ops))
		if err != nil {
			t.Fatalf("%s: %v", encodePatch(ops), err)
		}
		if got, err = patch.Apply(got); err != nil {
			t.Fatalf("%s does not apply to %s: %v", encodePatch(ops), before, err)
		}
	}
	if !jsonpatch.Equal(got, []byte(want)) {
		t.Fatalf("%s makes of %s\n%s\nwant\n%s", encodePatch(ops), before, got, want)
	}
}

func entriesOf(text string) []entry {
	var list []entry
	for i := 0; i+1 < len(text); i += 2 {
		e, kind := entry{name: string(rune('a' + text[i]%6))}, text[i+1]
		if kind&1 != 0 {
			e.typ = "string"
		}
		if kind&2 != 0 {
			e.value = quoteJSON(fmt.Sprint(kind))
		}
		if kind&4 != 0 {
			e.extra = fields{"a/b~c": quoteJSON(fmt.Sprint(kind))}
		}
		list = append(list, e)
	}
	return list
}

func stepsOf(text string) []step {
	var list []step
	for i := 0; i+1 < len(text); i += 2 {
		kind := text[i+1]
		s := partialStep(string(rune('a' + text[i]%6)))
		if kind&1 != 0 {
			s.fields["a/b~c"] = quoteJSON(fmt.Sprint(kind))
		}
		if kind&2 != 0 {
			delete(s.fields, "container")
		}
		if kind&4 != 0 {
			s.results = results{present: true, list: entriesOf(text[i:])}
		}
		list = append(list, s)
	}
	return list
}
