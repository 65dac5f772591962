package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/indelible-ci/indelible/test/cluster/build"
	"github.com/indelible-ci/indelible/test/cluster/image"
	"github.com/indelible-ci/indelible/test/cluster/node"
	"github.com/indelible-ci/indelible/test/cluster/tekton"
)

// containerd is the version with image volumes that everything here is measured with.
var containerd = build.Module{Path: "github.com/containerd/containerd/v2", Version: "v2.2.1",
	Sum: "h1:TpyxcY4AL5A+07dxETevunVS5zxqzuq7ZqJXknM11yk="}

// kubernetesVersion must be the one that kube/go.mod requires. Tekton refuses an API server that
// does not know its version.
const kubernetesVersion = "1.36.3"

// kubernetesBuild is its name in the cache.
const kubernetesBuild = "kubernetes-" + kubernetesVersion

// minimumGo is the latest that any of the modules asks for: Tekton's.
const minimumGo = "1.26.4"

const kubernetesFlags = "-s -w" +
	" -X k8s.io/component-base/version.gitVersion=v" + kubernetesVersion +
	" -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=36" +
	" -X k8s.io/client-go/pkg/version.gitVersion=v" + kubernetesVersion +
	" -X k8s.io/client-go/pkg/version.gitMajor=1 -X k8s.io/client-go/pkg/version.gitMinor=36"

type upOptions struct {
	source  string
	release tekton.Release
}

func setupUp(c *cli, flags *flag.FlagSet) func(context.Context, []string) error {
	var options upOptions
	flags.StringVar(&options.source, "source", "",
		"folder with the source of kube (default: found from the working directory or this program upwards)")
	flags.StringVar(&options.release.Version, "tekton-version", tekton.DefaultVersion, "release of Tekton Pipelines")
	flags.StringVar(&options.release.Sum, "tekton-sum", "",
		"checksum of that release's Go module (default: the pinned one)")
	return func(ctx context.Context, _ []string) error { return c.up(ctx, options) }
}

func (c *cli) up(ctx context.Context, options upOptions) error {
	cache := c.cache()
	if err := c.checkMachine(ctx, cache); err != nil {
		return err
	}
	release, err := c.alone(ctx)
	if err != nil {
		return err
	}
	defer release()
	if err := c.node().CheckPorts(); err != nil {
		return err
	}
	if !cache.Has(kubernetesBuild) {
		c.log("the first start builds Kubernetes, containerd and Tekton: 12 to 30 minutes on two cores, once; they are kept "+
			"in %s", cache.Dir)
	}
	programs, err := buildNode(ctx, cache, options.source)
	if err != nil {
		return err
	}
	built, err := tekton.Build(ctx, cache, options.release, node.Busybox)
	if err != nil {
		return err
	}
	base, err := baseImages(ctx, cache)
	if err != nil {
		return err
	}
	state := c.node()
	if err := state.Up(ctx, programs, []string{base, built.Archive}, c.log); err != nil {
		return err
	}
	manifests, err := built.Load()
	if err != nil {
		return err
	}
	c.log("applying Tekton %s", built.Version)
	if err := tekton.Install(ctx, state.RunKubectl, built.Version, manifests); err != nil {
		return err
	}
	c.log("Kubernetes %s and Tekton %s run; logs are in %s", kubernetesVersion, built.Version, state.Logs())
	fmt.Fprintf(c.out, "export KUBECONFIG=%s\n", state.Kubeconfig())
	return nil
}

// checkMachine says what this machine lacks before anything is built.
func (c *cli) checkMachine(ctx context.Context, cache *build.Cache) error {
	machine := node.ThisMachine(c.log)
	if err := machine.Check(ctx); err != nil {
		return err
	}
	if err := build.CheckGo(ctx, minimumGo); err != nil {
		return err
	}
	return machine.CheckSpace(c.state, cache.Dir, !cache.Has(kubernetesBuild))
}

func buildNode(ctx context.Context, cache *build.Cache, source string) (node.Programs, error) {
	source, err := findSource(source)
	if err != nil {
		return node.Programs{}, err
	}
	own, err := build.FilesKey(source, "*.go", "go.mod", "go.sum")
	if err != nil {
		return node.Programs{}, err
	}
	kube, err := cache.Build(ctx, build.Target{Name: kubernetesBuild, Usual: 8 * time.Minute, Dir: source,
		Packages: []string{"."},
		LDFlags:  kubernetesFlags, Inputs: []string{own}})
	if err != nil {
		return node.Programs{}, err
	}
	module, err := build.Download(ctx, containerd)
	if err != nil {
		return node.Programs{}, err
	}
	runtime, err := cache.Build(ctx, build.Target{Name: "containerd-" + containerd.Version, Usual: time.Minute,
		Dir: module, Inputs: []string{containerd.Sum},
		LDFlags:  "-s -w -X github.com/containerd/containerd/v2/version.Version=" + containerd.Version,
		Packages: []string{"./cmd/containerd", "./cmd/containerd-shim-runc-v2", "./cmd/ctr"}})
	return node.Programs{Kube: kube, Containerd: runtime}, err
}

// findSource looks for the module of kube beside the working directory and beside this program, and
// upwards from there.
func findSource(given string) (string, error) {
	if given != "" {
		return given, nil
	}
	var starts []string
	if dir, err := os.Getwd(); err == nil {
		starts = append(starts, dir)
	}
	if program, err := os.Executable(); err == nil {
		starts = append(starts, filepath.Dir(program))
	}
	for _, start := range starts {
		for dir := start; ; dir = filepath.Dir(dir) {
			for _, candidate := range []string{filepath.Join(dir, "kube"),
				filepath.Join(dir, "test", "cluster", "kube")} {
				if _, err := os.Stat(filepath.Join(candidate, "provisioner.go")); err == nil {
					return candidate, nil
				}
			}
			if dir == filepath.Dir(dir) {
				break
			}
		}
	}
	return "", fmt.Errorf("the source of kube is not found from here upwards: run this in the repository, or give " +
		"--source")
}

// baseImages makes the archive of busybox:local and of the image that holds a pod's namespaces.
func baseImages(ctx context.Context, cache *build.Cache) (string, error) {
	shell, err := build.FilesKey(filepath.Dir(node.Busybox), filepath.Base(node.Busybox))
	if err != nil {
		return "", err
	}
	const layoutVersion = "1"
	dir, err := cache.Once(ctx, build.Entry{Name: "base-images", Key: build.Key(layoutVersion, shell)},
		func(ctx context.Context, dir string) error {
			files, err := image.Busybox(ctx, node.Busybox)
			if err != nil {
				return err
			}
			busybox, err := image.Assemble(image.Spec{Files: files, Cmd: []string{"sh"}})
			if err != nil {
				return err
			}
			pause, err := image.Assemble(image.Spec{
				Files:      []image.File{{Path: "/busybox", Mode: 0o755, Source: node.Busybox}},
				Entrypoint: []string{"/busybox", "sleep", "2147483647"},
				User:       "65532",
			})
			if err != nil {
				return err
			}
			return image.WriteArchive(filepath.Join(dir, "images.tar"),
				map[string]v1.Image{tekton.ShellImage: busybox, node.PauseImage: pause})
		})
	return filepath.Join(dir, "images.tar"), err
}

// downWithin bounds down: an interrupted or stuck one can be run again.
const downWithin = 3 * time.Minute
