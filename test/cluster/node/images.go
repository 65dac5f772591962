package node

import (
	"context"
	"fmt"
	"strings"

	"github.com/indelible-ci/indelible/test/cluster/image"
)

// Load imports image archives into containerd. An archive whose images are all there already is left alone.
func (s State) Load(ctx context.Context, archives []string, log func(string, ...any)) error {
	if s.running("containerd") == 0 {
		return fmt.Errorf("no cluster runs in %s: start it with up", s)
	}
	for _, archive := range archives {
		digests, err := image.Digests(archive)
		if err != nil {
			return err
		}
		present, err := s.imageDigests(ctx)
		if err != nil {
			return err
		}
		if len(digests) > 0 && containsAll(present, digests) {
			continue
		}
		log("loading %s", archive)
		if _, err := s.ctr(ctx, "images", "import", "--local", "--snapshotter", snapshotter(string(s)), archive); err != nil {
			return fmt.Errorf("load %s: %w", archive, err)
		}
	}
	return nil
}

func containsAll(present, wanted map[string]string) bool {
	for name, digest := range wanted {
		if present[name] != digest {
			return false
		}
	}
	return true
}

func (s State) imageDigests(ctx context.Context) (map[string]string, error) {
	listed, err := s.ctr(ctx, "images", "list")
	if err != nil {
		return nil, err
	}
	digests := map[string]string{}
	for _, line := range strings.Split(listed, "\n") {
		if fields := strings.Fields(line); len(fields) > 2 {
			digests[fields[0]] = fields[2]
		}
	}
	return digests, nil
}
