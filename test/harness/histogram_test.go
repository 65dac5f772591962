package harness

import (
	"math"
	"testing"
)

func TestHistogram(t *testing.T) {
	const text = `# TYPE seconds histogram
seconds_bucket{verb="PATCH",le="0.1"} 10
seconds_bucket{verb="PATCH",le="0.2"} 97
seconds_bucket{verb="PATCH",le="0.4"} 100
seconds_bucket{verb="PATCH",le="+Inf"} 100
seconds_bucket{verb="PUT",le="0.1"} 5000
seconds_bucket{verb="PUT",le="+Inf"} 5000
seconds_count{verb="PATCH"} 100
`
	h := readHistogram(text, "seconds", `verb="PATCH"`)
	if h.Count() != 100 {
		t.Errorf("got %d observations, want 100", h.Count())
	}
	for q, want := range map[float64][2]float64{.05: {0, .1}, .5: {.1, .2}, .97: {.1, .2}, .99: {.2, .4}} {
		if lower, upper := h.Quantile(q); lower != want[0] || upper != want[1] {
			t.Errorf("quantile %v: got above %v, at most %v, want %v", q, lower, upper, want)
		}
	}
	if since := h.Since(Histogram{.1: 10, .2: 97, .4: 97, math.Inf(1): 97}); since.Count() != 3 || since[.4] != 3 ||
		since[.2] != 0 {
		t.Errorf("since an earlier look: %v, want the three slowest", since)
	}
}
