package numbered_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/indelible-ci/indelible/pkg/archive/numbered"
	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// A document that nobody could read would be in force for ever.
func TestWhatIsWrittenCanBeRead(t *testing.T) {
	s, err := store.NewDirectory(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	const below = "clusters/c/namespaces/"
	n, last := 0, ""
	for _, test := range []struct {
		size  int
		fails bool
	}{{1 << 10, false}, {16<<20 - 3, false}, {16<<20 - 2, true}, {32 << 20, true}, {2 << 10, false}} {
		text := strings.Repeat("x", test.size) // and two quotes
		err := numbered.Write(t.Context(), s, below, n, text)
		if (err != nil) != test.fails || test.fails && !errors.Is(err, numbered.ErrTooLarge) {
			t.Fatalf("%d bytes: %v", test.size, err)
		}
		if err == nil {
			last = text
		}
		var got string
		if n, err = numbered.Read(t.Context(), s, below, &got); err != nil || got != last {
			t.Fatalf("after %d bytes: %d bytes are read, %v; want %d", test.size, len(got), err, len(last))
		}
	}
}
