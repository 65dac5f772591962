package image

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sort"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// containerdName is the annotation under which containerd looks for the full name of an image in an
// archive.
const containerdName = "io.containerd.image.name"

// Reference spells a name in full, as the kubelet and containerd do: busybox:local is
// docker.io/library/busybox:local.
func Reference(short string) (string, error) {
	tag, err := name.NewTag(short)
	if err != nil {
		return "", fmt.Errorf("image name %q: %w", short, err)
	}
	registry := tag.RegistryStr()
	if registry == name.DefaultRegistry {
		registry = "docker.io"
	}
	return registry + "/" + tag.RepositoryStr() + ":" + tag.TagStr(), nil
}

// WriteArchive writes the images, by full name, as one file that is both an OCI layout (for
// containerd, skopeo, podman) and what docker save writes (for docker load, kind, crane).
func WriteArchive(path string, images map[string]v1.Image) (err error) {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	archive := &archiveWriter{tar: tar.NewWriter(file), written: map[string]bool{}}
	names := make([]string, 0, len(images))
	for name := range images {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		if err := archive.addImage(name, images[name]); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
	}
	return archive.close()
}

// dockerEntry is an element of docker's manifest.json.
type dockerEntry struct {
	Config   string
	RepoTags []string
	Layers   []string
}

type archiveWriter struct {
	tar     *tar.Writer
	written map[string]bool
	index   []v1.Descriptor
	docker  []dockerEntry
}

func (a *archiveWriter) addImage(name string, image v1.Image) error {
	entry := dockerEntry{RepoTags: []string{name}}
	layers, err := image.Layers()
	if err != nil {
		return err
	}
	for _, layer := range layers {
		digest, err := layer.Digest()
		if err != nil {
			return err
		}
		content, err := layer.Compressed()
		if err != nil {
			return err
		}
		data, err := io.ReadAll(content)
		if err := errors.Join(err, content.Close()); err != nil {
			return err
		}
		if err := a.blob(digest, data); err != nil {
			return err
		}
		entry.Layers = append(entry.Layers, blobPath(digest))
	}
	config, err := image.RawConfigFile()
	if err != nil {
		return err
	}
	configDigest, err := image.ConfigName()
	if err != nil {
		return err
	}
	manifest, err := image.RawManifest()
	if err != nil {
		return err
	}
	descriptor, err := partial.Descriptor(image)
	if err != nil {
		return err
	}
	descriptor.Annotations = map[string]string{containerdName: name, "org.opencontainers.image.ref.name": name}
	entry.Config = blobPath(configDigest)
	a.index = append(a.index, *descriptor)
	a.docker = append(a.docker, entry)
	return errors.Join(a.blob(configDigest, config), a.blob(descriptor.Digest, manifest))
}

func blobPath(digest v1.Hash) string { return "blobs/" + digest.Algorithm + "/" + digest.Hex }

// blob writes content once, however many images share it.
func (a *archiveWriter) blob(digest v1.Hash, content []byte) error {
	if a.written[digest.String()] {
		return nil
	}
	a.written[digest.String()] = true
	return a.file(blobPath(digest), content)
}

func (a *archiveWriter) file(path string, content []byte) error {
	header := &tar.Header{Name: path, Mode: 0o644, Size: int64(len(content)), Typeflag: tar.TypeReg,
		Format: tar.FormatPAX}
	if err := a.tar.WriteHeader(header); err != nil {
		return err
	}
	_, err := io.Copy(a.tar, bytes.NewReader(content))
	return err
}

func (a *archiveWriter) close() error {
	index, err := json.Marshal(v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: a.index})
	if err != nil {
		return err
	}
	docker, err := json.Marshal(a.docker)
	if err != nil {
		return err
	}
	return errors.Join(
		a.file("oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`)),
		a.file("index.json", index),
		a.file("manifest.json", docker),
		a.tar.Close())
}

// Digests reads the names and manifest digests of the images in an OCI archive; an archive of
// another kind has none.
func Digests(path string) (map[string]string, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	digests := map[string]string{}
	for reader := tar.NewReader(file); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return digests, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", path, err)
		}
		if header.Name != "index.json" {
			continue
		}
		index, err := v1.ParseIndexManifest(reader)
		if err != nil {
			return nil, fmt.Errorf("read the index of %s: %w", path, err)
		}
		for _, manifest := range index.Manifests {
			if name := manifest.Annotations[containerdName]; name != "" {
				digests[name] = manifest.Digest.String()
			}
		}
		return digests, nil
	}
}

// Read opens the only image of an archive.
func Read(path string) (v1.Image, error) {
	image, err := tarball.ImageFromPath(path, nil)
	if err != nil {
		return nil, fmt.Errorf("read the image in %s: %w", path, err)
	}
	return image, nil
}
