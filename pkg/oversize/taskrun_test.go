package oversize

import (
	"encoding/json"
	"strings"
	"testing"
)

// The event about a TaskRun may be forged: only what the controller would send counts.
func TestTaskRuns(t *testing.T) {
	param := func(n int) string { return `"params":[{"name":"text","value":"` + strings.Repeat("v", n) + `"}]` }
	steps := func(script string) string { return `{"steps":[{"script":"` + script + `"}]}` }
	const text = "$(params.text)"
	for name, tc := range map[string]struct {
		run  string
		want string // in the words; "": it is left alone
	}{
		"leave alone a TaskRun of 420 KB that runs": {
			`{"spec":{"taskRef":{"name":"use"},` + param(200_000) + `},"status":{"podName":"p","taskSpec":` +
				steps(strings.Repeat("v", 200_000)) + `}}`,
			"",
		},
		"leave alone one of 1.4 MB that runs": {
			`{"spec":{"taskRef":{"name":"use"},` + param(700_000) + `},"status":{"podName":"p","taskSpec":` +
				steps(strings.Repeat("v", 700_000)) + `}}`,
			"",
		},
		"leave alone one of 420 KB that has its Task, and uses its parameter five times": {
			`{"spec":{` + param(420_000) + `,"taskSpec":` + steps(strings.Repeat(text, 5)) + `}}`, "",
		},
		"leave alone one whose retries are used up": {
			`{"spec":{"taskRef":{"name":"use"},"retries":1,` + param(1_000_000) +
				`},"status":{"retriesStatus":[{}],"taskSpec":` + steps(text) + `}}`,
			"",
		},
		"leave alone one that uses small elements of a large array, or other parameters": {
			`{"spec":{"params":[{"name":"list","value":["a","` + strings.Repeat("v", 1_000_000) + `"]}],"taskSpec":` +
				steps("$(params.list[0]) $(params.list[0]) $(params.text)") + `}}`,
			"",
		},
		"leave alone one of less than 384 KiB whose Task is not known": {
			`{"spec":{"taskRef":{"name":"use"},` + param(390_000) + `}}`, "",
		},
		"end one of 420 KB whose Task is not known": {
			`{"spec":{"taskRef":{"name":"use"},` + param(420_000) + `}}`, "is over the 3145728 bytes",
		},
		"end one of 420 KB with a step that is not known": {
			`{"spec":{` + param(420_000) +
				`,"taskSpec":{"steps":[{"ref":{"name":"action"},"params":[{"name":"text","value":"` +
				text + `"}]}]}}}`,
			"is over the 3145728 bytes",
		},
		"end one that has its Task, and uses its parameter seven times": {
			`{"spec":{` + param(420_000) + `,"taskSpec":` + steps(strings.Repeat(text, 7)) + `}}`,
			`would be about 33.*; it has parameter "text", 420000 bytes (410.16 KiB), used 7 times`,
		},
		"end one that uses its parameter in all of Tekton's ways to write that": {
			`{"spec":{` + param(420_000) + `,"taskSpec":` +
				steps(`$(params.text) $(params[\"text\"]) $(params['text']) $(inputs.params.text) $(params.text[*]) $(params['text'][*]) $(params.text[*])`) + `}}`,
			`would be about 33.*, used`,
		},
		"end one that uses an element of an object and of an array": {
			`{"spec":{"params":[{"name":"o","value":{"key":"` + strings.Repeat("v", 500_000) +
				`"}},{"name":"l","value":["` +
				strings.Repeat("v", 500_000) + `"]}],"taskSpec":` +
				steps(`$(params.o.key) $(params.l[0]) $(params.o.key) $(params.o.key)`) + `}}`,
			`would be about 30.*; it has parameter "o.key", 500000 bytes (488.28 KiB), used 3 times; parameter "l[0]", 500000 bytes (488.28 KiB), used 1 times`,
		},
		"end one whose Task uses a default": {
			`{"spec":{"taskSpec":{"params":[{"name":"text","default":"` + strings.Repeat("v", 500_000) +
				`"}],"steps":[{"script":"` + strings.Repeat(text, 5) + `"}]}}}`,
			`used 5 times`,
		},
		"end one whose next attempt's status has too many copies": {
			`{"spec":{"taskRef":{"name":"use"},"retries":1,` + param(1_000_000) + `},"status":{"taskSpec":` +
				steps(text) + `}}`,
			`would be about 30`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			if !json.Valid([]byte(tc.run)) {
				t.Fatal("the TaskRun is no JSON")
			}
			r, err := decode([]byte(tc.run))
			if err != nil {
				t.Fatal(err)
			}
			got := wordsOf(r)
			if tc.want == "" && got != "" {
				t.Errorf("said %q", got)
			}
			for _, want := range strings.Split(tc.want, ".*") {
				if !strings.Contains(got, want) {
					t.Errorf("said %q, want %q", got, want)
				}
			}
			if strings.Contains(got, "vvvv") {
				t.Error("a value is shown")
			}
		})
	}
}
