package config

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestParseControllers(t *testing.T) {
	tests := map[string]struct {
		data string
		want []string
		err  string
	}{
		"allow one name":              {data: DefaultController, want: []string{DefaultController}},
		"allow a line's end after it": {data: "a\n", want: []string{"a"}},
		"allow several names":         {data: "a b", want: []string{"a", "b"}},
		"forbid nobody": {data: " \n", err: "controller must be a user name, such as " +
			"system:serviceaccount:tekton-pipelines:tekton-pipelines-controller; several are separated by a space"},
		"forbid a name twice": {data: "a b a", err: "controller has a twice"},
		"forbid what would end a string": {data: "a' || true || 'a", err: "controller must not contain quotes or " +
			"backslashes"},
		"forbid what would escape its end": {data: `a\`, err: "controller must not contain quotes or backslashes"},
		"forbid what would begin another":  {data: `a"`, err: "controller must not contain quotes or backslashes"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := ParseControllers(tc.data)
			text := ""
			if err != nil {
				text = err.Error()
			}
			if text != tc.err || !slices.Equal(got, tc.want) {
				t.Errorf("got %q, error %q; want %q, %q", got, text, tc.want, tc.err)
			}
		})
	}
}

func TestLoadReadsTheControllerBeside(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.yaml")
	must(t, os.WriteFile(path, []byte(good), 0o600))
	c, err := Load(path)
	must(t, err)
	if !slices.Equal(c.Controllers, []string{DefaultController}) {
		t.Errorf("without the file: %q", c.Controllers)
	}
	beside := filepath.Join(filepath.Dir(path), "controller")
	must(t, os.WriteFile(beside, []byte("a"), 0o600))
	c, err = Load(path)
	must(t, err)
	if !slices.Equal(c.Controllers, []string{"a"}) {
		t.Errorf("with the file: %q", c.Controllers)
	}
	must(t, os.WriteFile(beside, nil, 0o600))
	if _, err = Load(path); err == nil {
		t.Error("nobody is trusted, and no error")
	}
}
