package image

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
)

const toolName = "example.com/team/tool:v1"

func spec(t *testing.T) Spec {
	t.Helper()
	source := filepath.Join(t.TempDir(), "tool")
	// Neither its mode nor its time may be in the image.
	if err := os.WriteFile(source, []byte("program"), 0o600); err != nil {
		t.Fatal(err)
	}
	return Spec{
		Files: []File{
			{Path: "/usr/bin/tool", Mode: 0o755, Source: source},
			{Path: "/usr/bin/alias", Link: "/usr/bin/tool"},
			{Path: "/tmp", Mode: 0o777 | fs.ModeSticky, Dir: true},
			{Path: "/etc/passwd", Mode: 0o644, Content: "root:x:0:0\n"},
		},
		Entrypoint: []string{"/usr/bin/tool", "serve"}, Cmd: []string{"--help"}, User: "65532", WorkingDir: "/tmp",
	}
}

func archiveOf(t *testing.T, spec Spec) string {
	t.Helper()
	assembled, err := Assemble(spec)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "image.tar")
	if err := WriteArchive(path, map[string]v1.Image{toolName: assembled}); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestArchiveIsTheSameTwice(t *testing.T) {
	first, second := spec(t), spec(t)
	second.Files[0], second.Files[3] = second.Files[3], second.Files[0]
	for i := range second.Files {
		if source := second.Files[i].Source; source != "" {
			if err := os.Chtimes(source, time.Unix(1, 0), time.Unix(1, 0)); err != nil {
				t.Fatal(err)
			}
		}
	}
	one, err := os.ReadFile(archiveOf(t, first))
	if err != nil {
		t.Fatal(err)
	}
	two, err := os.ReadFile(archiveOf(t, second))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(one, two) {
		t.Error("the archive depends on the place, the time or the order of its files")
	}
}

func TestArchiveLoadsBack(t *testing.T) {
	path := archiveOf(t, spec(t))
	image, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("keeps how it starts", func(t *testing.T) {
		config, err := image.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		want := v1.Config{Entrypoint: []string{"/usr/bin/tool", "serve"}, Cmd: []string{"--help"}, User: "65532",
			WorkingDir: "/tmp",
			Env:        []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}}
		if !reflect.DeepEqual(config.Config, want) || config.OS != "linux" || config.Architecture != runtime.GOARCH {
			t.Errorf("got %+v for %s/%s, want %+v", config.Config, config.OS, config.Architecture, want)
		}
	})
	t.Run("keeps files, links and modes, parents first, root's and without times", func(t *testing.T) {
		type entry struct {
			name    string
			kind    byte
			mode    int64
			content string
		}
		var got []entry
		content := mutate.Extract(image)
		defer content.Close()
		for reader := tar.NewReader(content); ; {
			header, err := reader.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			data, err := io.ReadAll(reader)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, entry{header.Name, header.Typeflag, header.Mode, string(data) + header.Linkname})
			if header.Uid != 0 || header.Gid != 0 || header.ModTime.Unix() > 0 {
				t.Errorf("%s is of %d:%d and %s", header.Name, header.Uid, header.Gid, header.ModTime)
			}
		}
		want := []entry{
			{"etc/", tar.TypeDir, 0o755, ""}, {"etc/passwd", tar.TypeReg, 0o644, "root:x:0:0\n"},
			{"tmp/", tar.TypeDir, 0o1777, ""},
			{"usr/", tar.TypeDir, 0o755, ""}, {"usr/bin/", tar.TypeDir, 0o755, ""},
			{"usr/bin/alias", tar.TypeSymlink, 0o777, "/usr/bin/tool"}, {"usr/bin/tool", tar.TypeReg, 0o755, "program"},
		}
		for i := range got {
			got[i].name = strings.TrimSuffix(got[i].name, "/")
		}
		for i := range want {
			want[i].name = strings.TrimSuffix(want[i].name, "/")
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
	t.Run("keeps name and digest where containerd looks", func(t *testing.T) {
		assembled, err := Assemble(spec(t))
		if err != nil {
			t.Fatal(err)
		}
		digest, err := assembled.Digest()
		if err != nil {
			t.Fatal(err)
		}
		digests, err := Digests(path)
		if want := map[string]string{toolName: digest.String()}; err != nil || !reflect.DeepEqual(digests, want) {
			t.Errorf("got %v, %v, want %v", digests, err, want)
		}
	})
}

func TestReference(t *testing.T) {
	for title, test := range map[string]struct{ short, want string }{
		"spells a name in full":           {"busybox:local", "docker.io/library/busybox:local"},
		"spells a name with a team":       {"team/tool:v1", "docker.io/team/tool:v1"},
		"keeps another registry":          {"registry.example:5000/tool:v1", "registry.example:5000/tool:v1"},
		"takes latest if there is no tag": {"tool", "docker.io/library/tool:latest"},
		"forbids what is not a name":      {"Tool:v 1", ""},
	} {
		t.Run(title, func(t *testing.T) {
			if got, err := Reference(test.short); got != test.want || (err == nil) != (test.want != "") {
				t.Errorf("got %s, %v, want %s", got, err, test.want)
			}
		})
	}
}

func TestSystem(t *testing.T) {
	links := map[string]string{}
	for _, file := range system("bin/busybox\nbin/sh\nusr/bin/awk\n") {
		if file.Link != "" {
			links[file.Path] = file.Link
		}
	}
	if want := map[string]string{"/bin/sh": "/bin/busybox", "/usr/bin/awk": "/bin/busybox"}; !reflect.DeepEqual(links,
		want) {
		t.Errorf("got %v, want %v", links, want)
	}
}
