package main

import (
	"context"
	"debug/elf"
	"errors"
	"flag"
	"fmt"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/indelible-ci/indelible/test/cluster/image"
)

func setupLoad(c *cli, _ *flag.FlagSet) func(context.Context, []string) error {
	return func(ctx context.Context, archives []string) error {
		if len(archives) == 0 {
			return errors.New("load needs the path of an image archive")
		}
		return c.node().Load(ctx, archives, c.log)
	}
}

type imageOptions struct{ binary, as, tag, output, user, entrypoint string }

func setupImages(c *cli, flags *flag.FlagSet) func(context.Context, []string) error {
	var options imageOptions
	flags.StringVar(&options.binary, "binary", "", "the static binary (needed)")
	flags.StringVar(&options.as, "as", "", "its absolute path in the image (needed)")
	flags.StringVar(&options.tag, "tag", "", "name and tag of the image (needed)")
	flags.StringVar(&options.output, "output", "", "the archive to write (needed)")
	flags.StringVar(&options.user, "user", "65532", "user the image runs as")
	flags.StringVar(&options.entrypoint, "entrypoint", "",
		"command and arguments, separated by spaces (default: the binary)")
	return func(context.Context, []string) error { return c.images(options) }
}

func (c *cli) images(options imageOptions) error {
	if options.binary == "" || options.as == "" || options.tag == "" || options.output == "" {
		return errors.New("images needs --binary, --as, --tag and --output")
	}
	if !strings.HasPrefix(options.as, "/") {
		return fmt.Errorf("--as %s is not an absolute path", options.as)
	}
	if err := isStatic(options.binary); err != nil {
		return err
	}
	name, err := image.Reference(options.tag)
	if err != nil {
		return err
	}
	entrypoint := []string{options.as}
	if options.entrypoint != "" {
		entrypoint = strings.Fields(options.entrypoint)
	}
	assembled, err := image.Assemble(image.Spec{
		Files:      []image.File{{Path: options.as, Mode: 0o755, Source: options.binary}},
		Entrypoint: entrypoint,
		User:       options.user,
	})
	if err != nil {
		return err
	}
	return image.WriteArchive(options.output, map[string]v1.Image{name: assembled})
}

// isStatic refuses a binary that an image without libraries cannot run; the kernel's own message
// there would be "no such file or directory".
func isStatic(path string) error {
	file, err := elf.Open(path)
	if err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	defer file.Close()
	for _, program := range file.Progs {
		if program.Type == elf.PT_INTERP {
			return fmt.Errorf(
				"%s is linked dynamically and cannot run in an image of its own: build it with CGO_ENABLED=0",
				path)
		}
	}
	return nil
}

func setupPush(c *cli, flags *flag.FlagSet) func(context.Context, []string) error {
	insecure := flags.Bool("insecure", false, "allow a registry without TLS")
	return func(ctx context.Context, args []string) error {
		if len(args) != 2 {
			return errors.New("push needs an archive and a reference")
		}
		pushed, err := image.Push(ctx, args[0], args[1], *insecure)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(c.out, pushed)
		return err
	}
}
