package archiver

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/indelible-ci/indelible/pkg/archive/index"
	"github.com/indelible-ci/indelible/pkg/archive/manifest"
)

// An admission review, which has two levels around it, can carry a run that a commit, which has
// three, cannot.
func TestDeepRunsAreArchived(t *testing.T) {
	for _, depth := range []int{100, 1000, 9997, 9998} {
		t.Run(fmt.Sprint(depth), func(t *testing.T) {
			nested := depth - 3 // object, spec, customSpec
			object := finished("CustomRun", "", `"customSpec":{"spec":`+strings.Repeat("[", nested)+
				strings.Repeat("]", nested)+`}`, "")
			if !json.Valid([]byte(`{"request":{"object":` + string(object) + `}}`)) {
				t.Fatal("no review can carry it")
			}
			x, err := index.Open(t.Context(), "sqlite://"+filepath.Join(t.TempDir(), "index.db"))
			if err != nil {
				t.Fatal(err)
			}
			defer x.Close()
			a := (&cluster{t: t, object: object}).archiver(None, x)
			c := archived(t, a, "CustomRun")
			content, err := manifest.Open(t.Context(), a.Store, &c.Parts[0])
			if err != nil {
				t.Fatal(err)
			}
			defer content.Close()
			record, err := io.ReadAll(content)
			var want bytes.Buffer
			if err != nil || json.Compact(&want, object) != nil {
				t.Fatal(err)
			}
			if !sameJSON(record, want.Bytes()) {
				t.Error("the record is not the run")
			}
			row, err := x.Get(t.Context(), "default", testUID)
			if err != nil || !sameJSON(row.Record, want.Bytes()) {
				t.Errorf("the index has another record: %v", err)
			}
		})
	}
}

func sameJSON(a, compact []byte) bool {
	var b bytes.Buffer
	return json.Compact(&b, a) == nil && bytes.Equal(b.Bytes(), compact)
}
