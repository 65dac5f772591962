package tekton

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/indelible-ci/indelible/test/cluster/build"
	"github.com/indelible-ci/indelible/test/cluster/image"
)

// DefaultVersion is the release that everything here is measured with.
const DefaultVersion = "1.15.0"

// ShellImage is what Tekton unpacks scripts with, and what Tasks of the tests run in.
const ShellImage = "docker.io/library/busybox:local"

const modulePath = "github.com/tektoncd/pipeline"

// sums pins the releases that may be asked for by number alone: the one that all is measured with,
// and patch releases of the oldest long-term-support release that is still supported.
var sums = map[string]string{
	"1.9.2":  "h1:uKEt6CGLmkeKLdKIZnel0gn8lfQ1P7+398yystdBuHU=",
	"1.9.6":  "h1:j/yUWklZwuhF6HaM6jyjlf+pmLMcW8+WLksqhb2/j9I=",
	"1.15.0": "h1:ZGboFUaEdpYurZWqeGT5rn9e6qmomGL/gLSKhHp2vvQ=",
}

// commands are the programs a Tekton installation runs, each in an image of its own.
var commands = []string{"controller", "webhook", "entrypoint", "nop", "workingdirinit", "sidecarlogresults", "events",
	"resolvers"}

// Release is a version of Tekton Pipelines.
type Release struct {
	Version string
	// Sum is the checksum of the module; empty takes the pinned one.
	Sum string
}

func (r Release) module() (build.Module, error) {
	sum := r.Sum
	if sum == "" {
		sum = sums[r.Version]
	}
	if sum == "" {
		return build.Module{}, fmt.Errorf("the checksum of Tekton %s is not pinned here: give it with --tekton-sum "+
			"(Sum in the output of: go mod download -json %s@v%s)", r.Version, modulePath, r.Version)
	}
	return build.Module{Path: modulePath, Version: "v" + r.Version, Sum: sum}, nil
}

// Built is a release on this machine: its source with the manifests, and an archive of its images.
type Built struct {
	Release
	Source  string
	Archive string
}

// Build downloads and compiles the release and puts its commands into images.
func Build(ctx context.Context, cache *build.Cache, release Release, busybox string) (*Built, error) {
	module, err := release.module()
	if err != nil {
		return nil, err
	}
	source, err := build.Download(ctx, module)
	if err != nil {
		return nil, err
	}
	target := build.Target{Name: "tekton-" + release.Version, Dir: source, LDFlags: "-s -w", Usual: 4 * time.Minute,
		Inputs: []string{module.Sum}}
	for _, command := range commands {
		target.Packages = append(target.Packages, "./cmd/"+command)
	}
	binaries, err := cache.Build(ctx, target)
	if err != nil {
		return nil, err
	}
	archive, err := archive(ctx, cache, release, binaries, busybox)
	return &Built{Release: release, Source: source, Archive: archive}, err
}

// layoutVersion is part of the archive's key: raise it when images are put together differently.
const layoutVersion = "2"

func archive(ctx context.Context, cache *build.Cache, release Release, binaries, busybox string) (string, error) {
	shell, err := build.FilesKey(filepath.Dir(busybox), filepath.Base(busybox))
	if err != nil {
		return "", err
	}
	key := build.Key(layoutVersion, filepath.Base(binaries), shell)
	dir, err := cache.Once(ctx, build.Entry{Name: "tekton-" + release.Version + "-images", Key: key},
		func(ctx context.Context, dir string) error {
			images := map[string]v1.Image{}
			for _, command := range commands {
				spec, err := spec(ctx, command, filepath.Join(binaries, command), busybox)
				if err != nil {
					return err
				}
				if images[imageName(command, release.Version)], err = image.Assemble(spec); err != nil {
					return err
				}
			}
			return image.WriteArchive(filepath.Join(dir, "images.tar"), images)
		})
	return filepath.Join(dir, "images.tar"), err
}

func imageName(command, version string) string { return "tekton.local/" + command + ":v" + version }

// spec follows the layout that Tekton's manifests and its controller rely on: the program is
// /ko-app/<command>.
func spec(ctx context.Context, command, binary, busybox string) (image.Spec, error) {
	path := "/ko-app/" + command
	result := image.Spec{
		Files:      []image.File{{Path: path, Mode: 0o755, Source: binary}},
		Entrypoint: []string{path},
		User:       "65532",
	}
	if command != "resolvers" {
		return result, nil
	}
	// Tekton's image for the resolvers has tini as its first process, and its manifest says so.
	// There is no git in ours, so the git resolver is the one part of Tekton that does not work
	// here.
	system, err := image.Busybox(ctx, busybox)
	if err != nil {
		return image.Spec{}, err
	}
	tini := image.File{Path: "/sbin/tini", Mode: 0o755, Content: "#!/bin/sh\nshift\nexec \"$@\"\n"}
	result.Files = append(append(result.Files, tini), system...)
	return result, nil
}
