package publisher

import (
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/indelible-ci/indelible/pkg/result"
)

// testOptions are options with folders of their own: empty results, credentials without files.
func testOptions(t testing.TB) Options {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{"results", "credentials"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return Options{
		Namespace:          "ci",
		TaskRun:            "build-1",
		UID:                "run-uid",
		ResultsDir:         filepath.Join(dir, "results"),
		Credentials:        filepath.Join(dir, "credentials"),
		Timeout:            DefaultTimeout,
		Limits:             result.DefaultLimits(),
		TerminationMessage: filepath.Join(dir, "termination"),
	}
}

func TestOptionsRoundTrip(t *testing.T) {
	full := Options{
		Namespace: "ci", TaskRun: "build-1", UID: "run-uid", Server: "[fd00::1]:443",
		Results: []string{"digest", "sbom.json"}, ResultsDir: "/tekton/results",
		Own: StepResults{Step: "unnamed-2", Dir: "/tekton/run/2/status/results", Names: []string{"z"}},
		Kept: []StepResults{
			{Step: "a", Dir: "/indelible/kept/0/report", Names: []string{"x", "y"}},
			{Step: "b", Dir: "/indelible/kept/1/report"},
		},
		Credentials: "/indelible/token", Timeout: 90 * time.Second, GracePeriod: 45 * time.Second,
		Limits:             result.Limits{Result: 1, TaskRun: 2, Object: 3},
		TerminationMessage: "/tekton/termination",
		Command:            []string{"/tekton/bin/entrypoint", "-entrypoint", "sh", "--", "-c", "echo --; exit 0", ""},
	}
	tests := map[string]func(*Options){
		"keeps everything":                     func(*Options) {},
		"keeps a TaskRun without Task results": func(o *Options) { o.Results = nil },
		"keeps a TaskRun without step results": func(o *Options) { o.Own, o.Kept = StepResults{}, nil },
		"keeps a step without names":           func(o *Options) { o.Own.Names = nil },
		"keeps a step that keeps its report": func(o *Options) {
			o.UID, o.Server, o.Kept, o.KeepIn = "", "", nil,
				"/indelible/kept/report"
		},
		"keeps a folder that nothing is read of": func(o *Options) { o.Results, o.ResultsDir = nil, "/elsewhere" },
		"keeps a command that looks like flags":  func(o *Options) { o.Command = []string{"-taskrun", "--", "x"} },
		"keeps a zero grace period":              func(o *Options) { o.GracePeriod = 0 },
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			o := full
			change(&o)
			got, err := ParseOptions(o.Args(), io.Discard)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, o) {
				t.Errorf("got  %+v\nwant %+v", got, o)
			}
		})
	}
}

func TestParseOptions(t *testing.T) {
	base := []string{"-namespace", "ci", "-taskrun", "build-1", "-uid", "u"}
	tests := map[string]struct {
		args []string
		err  string
	}{
		"allow the defaults":                     {[]string{"--", "true"}, ""},
		"allow a step that keeps to have no UID": {[]string{"-uid", "", "-keep", "/f", "--", "true"}, ""},
		"forbid publishing without a UID":        {[]string{"-uid", "", "--", "true"}, "-uid is required to publish"},
		"forbid an earlier step without a file":  {[]string{"-kept", "a==x", "--", "true"}, "want STEP=DIR=NAME,NAME"},
		"forbid a missing command":               {[]string{"--"}, "no command given"},
		"forbid a step without a folder":         {[]string{"-step", "a", "--", "true"}, "want STEP=DIR=NAME,NAME"},
		"forbid a step with an empty folder":     {[]string{"-step", "a==x", "--", "true"}, "want STEP=DIR=NAME,NAME"},
		"forbid two limits": {
			[]string{"-limits", "1,2", "--", "true"}, "want RESULT,TASKRUN,OBJECT",
		},
		"forbid a limit of zero": {
			[]string{"-limits", "1,0,3", "--", "true"}, "positive numbers of bytes",
		},
		"forbid text behind the limits": {
			[]string{"-limits", "1,2,3x", "--", "true"}, "positive numbers of bytes",
		},
		"forbid a timeout of zero": {
			[]string{"-timeout", "0s", "--", "true"}, "-timeout must be positive",
		},
		"forbid a negative grace period": {[]string{"-grace-period", "-1s", "--", "true"},
			"-grace-period must not be negative"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var usage strings.Builder
			_, err := ParseOptions(append(base[:len(base):len(base)], tt.args...), &usage)
			if tt.err == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil {
				t.Fatal("no error")
			}
			wantText(t, err.Error(), tt.err)
			wantText(t, usage.String(), tt.err)
		})
	}
	if _, err := ParseOptions([]string{"-h"}, io.Discard); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("-h gives %v, want flag.ErrHelp", err)
	}
}

// FuzzParseOptions: whatever is accepted is printed and read back the same.
func FuzzParseOptions(f *testing.F) {
	f.Add("-namespace\nci\n-taskrun\nb\n-uid\nu\n-results\na,b\n-kept\ns=/f=x\n-step\ns=/d=x,y\n-limits\n1,2,3\n--\ncmd\n-x")
	f.Add("-namespace=ci\n-taskrun=b\n-uid=u\n-keep=f\n-results=,\n-results-dir=\n-timeout=1ns\ncmd")
	f.Add("-namespace=ci\n-taskrun=b\n-uid=u\n-server=h\n-step=a=b=c=d\n-grace-period=1h2m3.5s\ncmd\n--")
	f.Fuzz(func(t *testing.T, line string) {
		o, err := ParseOptions(strings.Split(line, "\n"), io.Discard)
		if err != nil {
			return
		}
		again, err := ParseOptions(o.Args(), io.Discard)
		if err != nil {
			t.Fatalf("%+v is printed as %q, which gives %v", o, o.Args(), err)
		}
		if !reflect.DeepEqual(o, again) {
			t.Fatalf("got  %+v\nwant %+v", again, o)
		}
	})
}
