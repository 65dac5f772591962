package main

import (
	"bytes"
	"context"
	"path/filepath"
	"strings"
	"testing"
)

func TestPreflightCommand(t *testing.T) {
	file := filepath.Join(t.TempDir(), "manifests.yaml")
	write(t, file, "kind: Secret\n")
	tests := map[string]struct {
		args []string
		code int
		text string
	}{
		"tells how it is used": {
			[]string{"--help"}, 0, "kubectl kustomize config/default | webhook preflight",
		},
		"forbids what it does not know": {[]string{"--no"}, 2, "not defined: -no"},
		"forbids a word more":           {[]string{"--manifests", file, "now"}, 2, ""},
		"fails without the file":        {[]string{"--manifests", file + "x"}, 1, "no such file"},
		"fails with what is no manifest": {[]string{"--manifests", file}, 1,
			"the manifests have no ConfigMap indelible-config"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			var out, errs bytes.Buffer
			if code := run(context.Background(), append([]string{"preflight"}, tc.args...), &out,
				&errs); code != tc.code ||
				!strings.Contains(errs.String(), tc.text) {
				t.Errorf("code %d, want %d; said %q, want %q", code, tc.code, errs.String(), tc.text)
			}
		})
	}
}
