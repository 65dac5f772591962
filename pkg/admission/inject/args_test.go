package inject

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseEntrypointArgs(t *testing.T) {
	tests := map[string]struct {
		// args and kept are split at spaces; "''" stands for an empty argument.
		args, kept, results, stepResults string
		values                           map[string]string
	}{
		"takes both flags out and keeps the rest in order": {
			args: "-wait_file /tekton/run/0/out -post_file /tekton/run/1/out -step_results c -results a,b -entrypoint sh -- " +
				"-c x",
			kept:    "-wait_file /tekton/run/0/out -post_file /tekton/run/1/out -entrypoint sh -- -c x",
			results: "a b", stepResults: "c",
			values: map[string]string{
				"wait_file": "/tekton/run/0/out", "post_file": "/tekton/run/1/out", "entrypoint": "sh",
			},
		},
		"reads two dashes and values after an equals sign": {
			args: "--results=a --step_results b --post_file=p --", kept: "--post_file=p --",
			results: "a", stepResults: "b", values: map[string]string{"post_file": "p"},
		},
		"keeps flags of the step's command": {
			args:    "-results a -- -results b --step_results=c -- -results d",
			kept:    "-- -results b --step_results=c -- -results d",
			results: "a", values: map[string]string{},
		},
		"keeps values that look like the flags": {
			args: "-entrypoint -results -stdout_path --step_results=x --when_expressions -results --",
			kept: "-entrypoint -results -stdout_path --step_results=x --when_expressions -results --",
			values: map[string]string{"entrypoint": "-results", "stdout_path": "--step_results=x",
				"when_expressions": "-results"},
		},
		"takes a boolean for a flag of its own": {
			args: "-wait_file_content -results a -breakpoint_on_failure -debug_before_step -enable_spire=0 " +
				"-compress_termination_message=true --",
			kept: "-wait_file_content -breakpoint_on_failure -debug_before_step -enable_spire=0 " +
				"-compress_termination_message=true --",
			values: map[string]string{
				"wait_file_content": "true", "breakpoint_on_failure": "true", "debug_before_step": "true",
				"enable_spire":                 "false",
				"compress_termination_message": "true",
			},
			results: "a",
		},
		"takes an unknown flag before another for a boolean": {
			args: "-new_switch -results a --", kept: "-new_switch --", results: "a",
			values: map[string]string{"new_switch": "true"},
		},
		"takes an unknown flag before a word for one with a value": {
			args: "-new_value v -results a -new_last --", kept: "-new_value v -new_last --", results: "a",
			values: map[string]string{"new_value": "v", "new_last": "true"},
		},
		"reads an empty list as no names": {
			args: "-results '' -step_results= --", kept: "--", values: map[string]string{},
		},
		"believes the last of two, as the flag package does": {
			args: "-results a -results b --", kept: "--", results: "b", values: map[string]string{},
		},
		"keeps flags whose names only begin alike": {
			args:   "-result_from termination-message -results_x y --",
			kept:   "-result_from termination-message -results_x y --",
			values: map[string]string{"result_from": "termination-message", "results_x": "y"},
		},
		"keeps credentials": {
			args:    "-basic-docker=s=https://x -ssh-git=k=h -results a --",
			kept:    "-basic-docker=s=https://x -ssh-git=k=h --",
			results: "a",
			values:  map[string]string{"basic-docker": "s=https://x", "ssh-git": "k=h"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := parseEntrypointArgs(words(tc.args))
			if err != nil {
				t.Fatal(err)
			}
			want := entrypointArgs{kept: words(tc.kept), results: words(tc.results), stepResults: words(tc.stepResults),
				values: tc.values}
			if diff := cmp.Diff(want, got, cmp.AllowUnexported(entrypointArgs{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestParseEntrypointArgsForbids(t *testing.T) {
	tests := map[string]struct{ args, want string }{
		"forbid no arguments":               {"", "no -- ends the entrypoint's own arguments"},
		"forbid arguments without an end":   {"-results a", "no -- ends the entrypoint's own arguments"},
		"forbid a value that is missing":    {"-entrypoint sh -results --", "argument 2: -results has no value"},
		"forbid a word where a flag begins": {"-results a b --", "argument 2: not a flag"},
		"forbid a subcommand":               {"init x --", "argument 0: not a flag"},
		"forbid a lone dash":                {"- --", "argument 0: not a flag"},
		"forbid three dashes":               {"---results a --", "argument 0: not a flag"},
		"forbid a flag without a name":      {"-=a --", "argument 0: not a flag"},
		"forbid a boolean that is neither": {"-enable_spire=perhaps --",
			"argument 0: -enable_spire is neither true nor false"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := parseEntrypointArgs(words(tc.args))
			if err == nil || err.Error() != tc.want {
				t.Errorf("got %+v, %v, want error %q", got, err, tc.want)
			}
		})
	}
}

func words(s string) []string {
	fields := strings.Fields(s)
	for i := range fields {
		if fields[i] == "''" {
			fields[i] = ""
		}
	}
	if len(fields) == 0 {
		return nil
	}
	return fields
}

// FuzzParseEntrypointArgs: whatever the arguments, what is kept is the input without some -results
// and -step_results and their values, and everything from the first "--" on is untouched.
func FuzzParseEntrypointArgs(f *testing.F) {
	f.Add("-wait_file\n/tekton/run/0/out\n-results\na,b\n--\n-results\nc")
	f.Add("--results=a\n-entrypoint\n-results\n-x\n-step_results\n--")
	f.Add("-results\n\n-\n--\n--")
	f.Fuzz(func(t *testing.T, joined string) {
		args := strings.Split(joined, "\n")
		before := slices.Clone(args)
		got, err := parseEntrypointArgs(args)
		if !slices.Equal(args, before) {
			t.Fatal("the input was changed")
		}
		if err != nil {
			return
		}
		end := slices.Index(args, "--")
		rest := got.kept
		for i := 0; i < end; {
			if len(rest) > 0 && rest[0] == args[i] && !isResultFlag(args[i]) {
				rest = rest[1:]
				i++
				continue
			}
			if len(rest) > 0 && rest[0] == args[i] && i > 0 && takesNext(args[i-1]) {
				rest = rest[1:]
				i++
				continue
			}
			if !isResultFlag(args[i]) {
				t.Fatalf("argument %d, %q, is gone from %q: %q", i, args[i], args, got.kept)
			}
			i++
			if !strings.Contains(args[i-1], "=") {
				i++
			}
		}
		if !slices.Equal(rest, args[end:]) {
			t.Fatalf("after the end of the flags %q became %q", args[end:], rest)
		}
		again, err := parseEntrypointArgs(got.kept)
		if err != nil || !slices.Equal(again.kept, got.kept) || again.results != nil || again.stepResults != nil {
			t.Fatalf("taking out twice differs from once: %q, %q, %v", got.kept, again.kept, err)
		}
	})
}

// isResultFlag recognises the two flags by their text alone.
func isResultFlag(arg string) bool {
	name, _, _ := strings.Cut(arg, "=")
	return slices.Contains([]string{"-results", "--results", "-step_results", "--step_results"}, name)
}

// takesNext says whether a known flag takes the argument after it as its value.
func takesNext(arg string) bool {
	return !strings.Contains(arg, "=") && entrypointValue[strings.TrimLeft(arg, "-")]
}

func TestArgumentsWithAnotherValue(t *testing.T) {
	for args, want := range map[string]string{
		"-wait_file w -post_file p -entrypoint sh -- -post_file q": "-wait_file w -post_file p -entrypoint sh -post_file " +
			"new -- -post_file q",
		"--":        "-post_file new --",
		"-- -- a b": "-post_file new -- -- a b",
	} {
		parsed, err := parseEntrypointArgs(strings.Fields(args))
		if err != nil {
			t.Fatal(err)
		}
		got := parsed.with("post_file", "new")
		if strings.Join(got, " ") != want {
			t.Errorf("%q: got %q, want %q", args, got, want)
		}
		again, err := parseEntrypointArgs(got)
		if err != nil || again.values["post_file"] != "new" {
			t.Errorf("%q: the entrypoint would read %q, %v", args, again.values["post_file"], err)
		}
	}
}
