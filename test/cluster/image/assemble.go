package image

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path"
	"runtime"
	"sort"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// File is one entry of an image: exactly one of Source, Content, Link or Dir says what it is.
type File struct {
	// Path is absolute, inside the image.
	Path string
	Mode fs.FileMode
	// Source is a file of this machine.
	Source  string
	Content string
	// Link is the target of a symbolic link.
	Link string
	Dir  bool
}

// Spec is what an image holds and how it starts.
type Spec struct {
	Files      []File
	Entrypoint []string
	Cmd        []string
	User       string
	WorkingDir string
}

// Assemble makes an image of one layer. Nothing in it depends on when or where it was made: no
// times, no owners, entries sorted, parents first. The layer is not compressed, because it goes to
// a runtime on the same machine.
func Assemble(spec Spec) (v1.Image, error) {
	content, err := layer(spec.Files)
	if err != nil {
		return nil, err
	}
	base := mutate.MediaType(mutate.ConfigMediaType(empty.Image, types.OCIConfigJSON), types.OCIManifestSchema1)
	image, err := mutate.AppendLayers(base, static.NewLayer(content, types.OCIUncompressedLayer))
	if err != nil {
		return nil, fmt.Errorf("append the layer: %w", err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", runtime.GOARCH
	config.History = nil
	config.Config = v1.Config{
		Entrypoint: spec.Entrypoint, Cmd: spec.Cmd, User: spec.User, WorkingDir: spec.WorkingDir,
		Env: []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
	}
	return mutate.ConfigFile(image, config)
}

func layer(files []File) ([]byte, error) {
	var buffer bytes.Buffer
	writer := tar.NewWriter(&buffer)
	for _, file := range withParents(files) {
		if err := add(writer, file); err != nil {
			return nil, fmt.Errorf("add %s: %w", file.Path, err)
		}
	}
	if err := writer.Close(); err != nil {
		return nil, err
	}
	return buffer.Bytes(), nil
}

// withParents sorts the files and adds missing parent folders.
func withParents(files []File) []File {
	byPath := map[string]File{}
	for _, file := range files {
		for dir := path.Dir(file.Path); dir != "/"; dir = path.Dir(dir) {
			if _, listed := byPath[dir]; !listed {
				byPath[dir] = File{Path: dir, Mode: 0o755, Dir: true}
			}
		}
		byPath[file.Path] = file
	}
	sorted := make([]File, 0, len(byPath))
	for _, file := range byPath {
		sorted = append(sorted, file)
	}
	sort.Slice(sorted, func(i, j int) bool { return sorted[i].Path < sorted[j].Path })
	return sorted
}

func add(writer *tar.Writer, file File) error {
	header := &tar.Header{Name: strings.TrimPrefix(file.Path, "/"), Mode: int64(file.Mode.Perm()),
		Format: tar.FormatPAX}
	if file.Mode&fs.ModeSticky != 0 {
		header.Mode |= 0o1000
	}
	content := []byte(file.Content)
	switch {
	case file.Dir:
		header.Typeflag, header.Name = tar.TypeDir, header.Name+"/"
	case file.Link != "":
		header.Typeflag, header.Linkname, header.Mode = tar.TypeSymlink, file.Link, 0o777
	case file.Source != "":
		var err error
		if content, err = os.ReadFile(file.Source); err != nil {
			return err
		}
		fallthrough
	default:
		header.Typeflag, header.Size = tar.TypeReg, int64(len(content))
	}
	if err := writer.WriteHeader(header); err != nil {
		return err
	}
	if header.Typeflag != tar.TypeReg {
		return nil
	}
	_, err := writer.Write(content)
	return err
}
