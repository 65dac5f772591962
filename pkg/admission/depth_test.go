package admission

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

func TestNesting(t *testing.T) {
	nested := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	long := strings.Repeat("x", 100)
	tests := map[string]struct {
		text string
		want bool
	}{
		"allow three levels": {`{"a":[{}]}`, false},
		"allow many of one level": {`[` + strings.Repeat(`{},`, 1000) + `{}]`,
			false},
		"allow brackets in a string":                                      {`["[[[[", "{{{{"]`, false},
		"allow brackets after an escaped quote":                           {`["\"[[[["]`, false},
		"allow a string that does not end":                                {`["[[[[`, false},
		"allow a quote right at the end":                                  {`["`, false},
		"forbid four levels":                                              {nested(4), true},
		"forbid four levels of objects":                                   {`{"a":{"b":{"c":{}}}}`, true},
		"forbid four levels that do not end":                              {`[[[[`, true},
		"forbid four levels after a string that ends in a backslash":      {`["\\", [[[`, true},
		"allow brackets after an escaped quote in a long string":          {`["` + long + `\"[[[["]`, false},
		"forbid four levels after a long string":                          {`["` + long + `", [[[`, true},
		"forbid four levels after a long string that ends in a backslash": {`["` + long + `\\", [[[`, true},
		"forbid four levels after a long string with an escaped quote in it": {
			`["` + long + `\\\"` + long + `", [[[`, true,
		},
		"forbid four levels after an escaped quote": {`["\\\"", [[[`, true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := shapeOf([]byte(tc.text), 3).tooDeep; got != tc.want {
				t.Errorf("%s: deeper than 3 levels: %v, want %v", tc.text, got, tc.want)
			}
		})
	}
}

// deep is a review with an object of 60 KB that nests 10,000 levels deep, or less.
func deep(uid string, levels int) []byte {
	object := strings.Repeat(`{"a":`, levels) + "1" + strings.Repeat("}", levels)
	return bytes.Replace(review(uid, 10), []byte(`"object":`), []byte(`"oldObject":`+object+`,"object":`), 1)
}

func TestDepth(t *testing.T) {
	s := start(t, Options{Guard: saying("guard"), Inject: saying("inject")})
	t.Run("allow what nests as deep as it may", func(t *testing.T) {
		if status, text,
			answer := s.post(t, "/guard", bytes.NewReader(deep("u-1", maxDepth-2))); status != http.StatusOK ||
			!answer.Allowed {
			t.Errorf("status %d: %s", status, text)
		}
	})
	for _, levels := range []int{maxDepth - 1, 10_000} {
		t.Run("forbid more to the guard, by a denial", func(t *testing.T) {
			status, text, answer := s.post(t, "/guard", bytes.NewReader(deep("u-1", levels)))
			if status != http.StatusOK || answer.Allowed || answer.UID != "u-1" || answer.Result.Code != 422 ||
				answer.Result.Message != tooDeepMessage {
				t.Errorf("status %d: %s", status, text)
			}
		})
		t.Run("forbid more to those that are ignored when they fail, by a failure", func(t *testing.T) {
			if status, text,
				_ := s.post(t, "/inject", bytes.NewReader(deep("u-1", levels))); status != http.StatusBadRequest ||
				!strings.Contains(text, tooDeepMessage) {
				t.Errorf("status %d: %s", status, text)
			}
		})
	}
	t.Run("fail where the review has no UID at its beginning", func(t *testing.T) {
		body := []byte(`{"x":` + strings.Repeat("[", 300) + strings.Repeat("]", 300) + `}`)
		if status, text, _ := s.post(t, "/guard", bytes.NewReader(body)); status != http.StatusBadRequest {
			t.Errorf("status %d: %s", status, text)
		}
	})
}

// BenchmarkNesting is what the check adds to a request with a result of 1 MiB, of a string and of
// many small ones.
func BenchmarkNesting(b *testing.B) {
	list, _ := json.Marshal(strings.Split(strings.Repeat("value,", 1<<18), ","))
	for name, body := range map[string][]byte{"one string": review("u", 1<<20), "many strings": list} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				shapeOf(body, maxDepth)
			}
		})
	}
}
