package build

import (
	"os"
	"path/filepath"
	"testing"
)

func TestKey(t *testing.T) {
	// sha256 of "3:abc1:d", by sha256sum.
	if got, want := Key("abc", "d"), "1a587bd257798365"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for name, other := range map[string][]string{
		"changes when a character moves to the next part": {"ab", "cd"},
		"changes with an empty part":                      {"abc", "d", ""},
		"changes with the order":                          {"d", "abc"},
	} {
		t.Run(name, func(t *testing.T) {
			if Key(other...) == Key("abc", "d") {
				t.Error("the same key")
			}
		})
	}
}

func TestTargetKey(t *testing.T) {
	base := func() Target {
		return Target{Name: "name", Dir: "/dir", Packages: []string{"./a", "./b"}, LDFlags: "-s",
			Inputs: []string{"sum"}}
	}
	const goVersion = "go1.26.4\namd64\n"
	for name, test := range map[string]struct {
		change    func(*Target)
		goVersion string
		same      bool
	}{
		"changes with the packages":         {change: func(t *Target) { t.Packages = t.Packages[:1] }},
		"changes with the linker's flags":   {change: func(t *Target) { t.LDFlags = "-s -w" }},
		"changes with an input":             {change: func(t *Target) { t.Inputs = []string{"other"} }},
		"changes with the version of Go":    {goVersion: "go1.26.5\namd64\n"},
		"changes with the architecture":     {goVersion: "go1.26.4\narm64\n"},
		"keeps with the sources elsewhere":  {change: func(t *Target) { t.Dir = "/elsewhere" }, same: true},
		"keeps with another expected delay": {change: func(t *Target) { t.Usual = 1 }, same: true},
	} {
		t.Run(name, func(t *testing.T) {
			target, version := base(), goVersion
			if test.change != nil {
				test.change(&target)
			}
			if test.goVersion != "" {
				version = test.goVersion
			}
			if got := target.key(version) == base().key(goVersion); got != test.same {
				t.Errorf("same key: %t, want %t", got, test.same)
			}
		})
	}
}

func TestFilesKey(t *testing.T) {
	write := func(t *testing.T, dir, name, content string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	key := func(t *testing.T, dir string) string {
		t.Helper()
		key, err := FilesKey(dir, "*.go", "go.mod")
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	for name, test := range map[string]struct {
		file, content string
		same          bool
	}{
		"changes with the content of a file":    {file: "a.go", content: "package b"},
		"changes with a new file":               {file: "b.go"},
		"changes with the module file":          {file: "go.mod", content: "module b"},
		"keeps with a file that no pattern has": {file: "README.md", content: "text", same: true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, "a.go", "package a")
			write(t, dir, "go.mod", "module a")
			before := key(t, dir)
			write(t, dir, test.file, test.content)
			if got := key(t, dir) == before; got != test.same {
				t.Errorf("same key: %t, want %t", got, test.same)
			}
		})
	}
	t.Run("keeps in another folder", func(t *testing.T) {
		one, two := t.TempDir(), t.TempDir()
		write(t, one, "a.go", "package a")
		write(t, two, "a.go", "package a")
		if key(t, one) != key(t, two) {
			t.Error("the key has the folder in it")
		}
	})
}
