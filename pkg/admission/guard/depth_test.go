package guard

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	pipelinev1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"

	"github.com/indelible-ci/indelible/pkg/jsonscan"
)

// What the comment at maxDepth says of a TaskRun's depth is true of the version of Tekton in
// go.mod.
func TestDepthOfTaskRuns(t *testing.T) {
	depth, path := depthOfType(reflect.TypeFor[pipelinev1.TaskRun](), map[reflect.Type]int{})
	if want := 15; depth != want {
		t.Errorf("a TaskRun nests %d deep (%s), want %d: say so at maxDepth", depth, path, want)
	}
}

// depthOfType returns how deeply the JSON of a type nests, and by which fields. A type within
// itself is looked at once more: Tekton puts a status into retriesStatus with an empty
// retriesStatus (retryTaskRun in its pkg/reconciler/taskrun/taskrun.go).
func depthOfType(typ reflect.Type, within map[reflect.Type]int) (int, string) {
	if typ == reflect.TypeFor[pipelinev1.ParamValue]() {
		return 1, ""
	}
	if within[typ] > 1 || reflect.PointerTo(typ).Implements(reflect.TypeFor[json.Marshaler]()) {
		return 0, ""
	}
	within[typ]++
	defer func() { within[typ]-- }()
	switch typ.Kind() {
	case reflect.Pointer:
		return depthOfType(typ.Elem(), within)
	case reflect.Slice, reflect.Map:
		depth, path := depthOfType(typ.Elem(), within)
		return depth + 1, "[]" + path
	case reflect.Struct:
		deepest, path := 0, ""
		for i := range typ.NumField() {
			field := typ.Field(i)
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			depth, below := depthOfType(field.Type, within)
			if field.Anonymous && name == "" {
				depth-- // its fields are those of the struct it is in
			}
			if name != "-" && depth > deepest {
				deepest, path = depth, "."+name+below
			}
		}
		return deepest + 1, path
	}
	return 0, ""
}

// Depth is counted from the TaskRun, wherever in it something nests.
func TestDepthIsBounded(t *testing.T) {
	for _, test := range []struct {
		name, before, after string
		outside             int
	}{
		{"a field that the guard does not look into", `{"spec":`, `}`, 1},
		{"a field of the status", `{"status":{"provenance":`, `}}`, 2},
		{"a result's value", `{"status":{"results":[{"name":"a","value":`, `}]}}`, 4},
		{"a step's field", `{"status":{"steps":[{"name":"a","running":`, `}]}}`, 4},
		{"a field of a step's result", `{"status":{"steps":[{"results":[{"more":`, `}]}]}}`, 6},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, kind := range [][2]string{{"[", "]"}, {`{"a":`, "}"}, {`[{"a":`, "}]"}} {
				nests := func(depth int) error {
					n := (depth - test.outside) / len(kind[1])
					_, err := decodeTaskRun(
						[]byte(test.before + strings.Repeat(kind[0], n) + "0" + strings.Repeat(kind[1], n) +
							test.after))
					return err
				}
				if err := nests(maxDepth); err != nil {
					t.Errorf("%d deep by %q: %v", maxDepth, kind[0], err)
				}
				for _, depth := range []int{maxDepth + 2, 10_000} {
					if err := nests(depth); !errors.Is(err, jsonscan.ErrDepth) || !strings.Contains(err.Error(),
						"nested more than 200 deep") {
						t.Errorf("%d deep by %q: %v, want that it is too deep", depth, kind[0], err)
					}
				}
			}
		})
	}
}
