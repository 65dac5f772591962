package publisher

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func TestInstall(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]func(t *testing.T, dest string){
		"allow a new file": func(*testing.T, string) {},
		"allow replacing a torn copy": func(t *testing.T, dest string) {
			if err := os.WriteFile(dest, []byte("torn"), 0o600); err != nil {
				t.Fatal(err)
			}
		},
	}
	for name, prepare := range tests {
		t.Run(name, func(t *testing.T) {
			dest := filepath.Join(t.TempDir(), "publisher")
			prepare(t, dest)
			if err := Install(dest); err != nil {
				t.Fatal(err)
			}
			got, err := os.ReadFile(dest)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("the copy has %d bytes, the program %d", len(got), len(want))
			}
			info, err := os.Stat(dest)
			if err != nil {
				t.Fatal(err)
			}
			if info.Mode() != 0o755 {
				t.Errorf("mode %v, want 0755", info.Mode())
			}
			wantOnly(t, filepath.Dir(dest), "publisher")
		})
	}
	t.Run("forbid a folder, leaving nothing behind", func(t *testing.T) {
		dir := t.TempDir()
		dest := filepath.Join(dir, "folder")
		if err := os.Mkdir(dest, 0o755); err != nil {
			t.Fatal(err)
		}
		err := Install(dest)
		if err == nil {
			t.Fatal("no error")
		}
		wantText(t, err.Error(), "install to "+dest)
		wantOnly(t, dir, "folder")
	})
}

func wantOnly(t *testing.T, dir, name string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 || entries[0].Name() != name {
		t.Errorf("folder holds %v, want only %s", entries, name)
	}
}
