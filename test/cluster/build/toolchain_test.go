package build

import (
	"strings"
	"testing"
)

func TestGoSuffices(t *testing.T) {
	for name, test := range map[string]struct{ found, toolchain, want string }{
		"allows the version itself":                        {found: "go1.26.4", toolchain: "local"},
		"allows a later one":                               {found: "go1.27.0", toolchain: "local"},
		"allows ten after nine":                            {found: "go1.26.10", toolchain: "local"},
		"allows a development version":                     {found: "devel go1.27-0123abc", toolchain: "local"},
		"allows an old one that fetches another":           {found: "go1.22.1", toolchain: "auto"},
		"allows an old one with a preference that fetches": {found: "go1.22.1", toolchain: "go1.22.1+auto"},
		"forbids an old one that may not, and says how else": {found: "go1.26.3", toolchain: "local",
			want: "this machine has Go 1.26.3, and Go 1.26.4 or later is needed: install it from https://go.dev/dl, or set " +
				"GOTOOLCHAIN=auto so that go fetches it itself"},
		"forbids one that knows no toolchains": {found: "go1.19.8",
			want: "this machine has Go 1.19.8, and Go 1.26.4 or " +
				"later is needed: install it from https://go.dev/dl"},
	} {
		t.Run(name, func(t *testing.T) {
			got := ""
			if err := goSuffices(test.found, test.toolchain, "1.26.4"); err != nil {
				got = err.Error()
			}
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestCheckGoNamesWhatIsMissing(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	err := CheckGo(t.Context(), "1.26.4")
	if err == nil || !strings.Contains(err.Error(), "the program go is not on the PATH") ||
		!strings.Contains(err.Error(), "sudo env") {
		t.Errorf("got %v", err)
	}
}
