package node

import (
	"context"
	"fmt"
	"strings"
	"time"

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
		if err := s.introduce(ctx, present, digests); err != nil {
			return fmt.Errorf("load %s: %w", archive, err)
		}
	}
	return nil
}

// managedLabel is how containerd's Kubernetes service marks the images that it knows by their ID.
const managedLabel = "io.cri-containerd.image"

// introduce makes the kubelet's side of containerd look at images whose names were there before, with other content. An
// import keeps their label, so that it takes them for known, and cannot find their new ID when a pod mounts one as a volume.
// Without the label it looks again.
func (s State) introduce(ctx context.Context, before, loaded map[string]string) error {
	for name, digest := range loaded {
		if old, replaced := before[name]; !replaced || old == digest {
			continue
		}
		if _, err := s.ctr(ctx, "images", "label", name, managedLabel+"="); err != nil {
			return err
		}
	}
	return s.known(ctx, loaded)
}

// known waits until each image has a name that is its ID.
func (s State) known(ctx context.Context, digests map[string]string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		present, err := s.imageDigests(ctx)
		if err != nil {
			return err
		}
		ids := map[string]bool{}
		for name, digest := range present {
			ids[digest] = ids[digest] || strings.HasPrefix(name, "sha256:")
		}
		missing := ""
		for name, digest := range digests {
			if !ids[digest] {
				missing = name
			}
		}
		if missing == "" {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("containerd does not take notice of the image %s: %w", missing, ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
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
