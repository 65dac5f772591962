package result

import (
	"errors"
	"regexp"
	"testing"

	"k8s.io/apimachinery/pkg/api/resource"
)

func TestParseSize(t *testing.T) {
	tests := map[string]struct {
		want Size
		err  error
	}{
		"1": {1, nil}, "4096": {4096, nil}, "800Ki": {819200, nil}, "1Mi": {1 << 20, nil}, "2k": {2000, nil},
		"1.45Mi": {1520436, nil}, // 1520435.2 bytes
		"0.5":    {1, nil}, "0.000001Ki": {1, nil}, "007": {7, nil},
		"2147483647": {2147483647, nil}, "2Gi": {0, ErrSizeBounds}, "1.999999G": {1999999000, nil},
		"0": {0, ErrSizeBounds}, "0.0Gi": {0, ErrSizeBounds}, "3Gi": {0, ErrSizeBounds},
		"999999999999Gi": {0, ErrSizeBounds},
		"":               {0, ErrNoSize}, "Ki": {0, ErrNoSize}, ".5Ki": {0, ErrNoSize}, "1.": {0, ErrNoSize}, "-1Mi": {0, ErrNoSize},
		"1MB": {0, ErrNoSize}, "1m": {0, ErrNoSize}, "1e3": {0, ErrNoSize}, "1 Mi": {0, ErrNoSize},
		"1KiKi":         {0, ErrNoSize},
		"1234567890123": {0, ErrNoSize}, "1.1234567": {0, ErrNoSize}, "1.1.1": {0, ErrNoSize}, "٣": {0, ErrNoSize},
	}
	for s, tc := range tests {
		t.Run(s, func(t *testing.T) {
			if got, err := ParseSize(s); got != tc.want || !errors.Is(err, tc.err) {
				t.Errorf("got %d, %v; want %d, %v", got, err, tc.want, tc.err)
			}
		})
	}
}

// FuzzParseSize compares with Kubernetes' own quantities, of which sizes are a part.
func FuzzParseSize(f *testing.F) {
	for _, s := range []string{"1", "800Ki", "1.45Mi", "0.000001G", "2Gi", "1e3", "12m", "999999999999.999999Gi"} {
		f.Add(s)
	}
	syntax := regexp.MustCompile(`^[0-9]{1,12}(\.[0-9]{1,6})?(Ki|Mi|Gi|k|M|G)?$`)
	f.Fuzz(func(t *testing.T, s string) {
		got, err := ParseSize(s)
		if !syntax.MatchString(s) {
			if !errors.Is(err, ErrNoSize) {
				t.Errorf("%q: %v", s, err)
			}
			return
		}
		want := resource.MustParse(s)
		if v := want.Value(); v < 1 || v > 1<<31-1 {
			if !errors.Is(err, ErrSizeBounds) {
				t.Errorf("%q: got %d, %v", s, got, err)
			}
		} else if err != nil || int64(got) != v {
			t.Errorf("%q: got %d, %v; want %d", s, got, err, v)
		}
	})
}
