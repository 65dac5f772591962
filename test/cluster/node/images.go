package node

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/indelible-ci/indelible/test/cluster/image"
)

// Load imports image archives into containerd. An archive whose images are all there already is
// left alone.
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
		if len(digests) == 0 || !containsAll(present, digests) {
			log("loading %s", archive)
			if _, err := s.ctr(ctx, "images", "import", "--local", "--snapshotter", snapshotter(string(s)),
				archive); err != nil {
				return fmt.Errorf("load %s: %w", archive, err)
			}
		}
		if err := s.introduce(ctx, digests); err != nil {
			return fmt.Errorf("load %s: %w", archive, err)
		}
	}
	return nil
}

// managedLabel is how containerd's Kubernetes service marks the images that it has given a second
// name, their ID.
const managedLabel = "io.cri-containerd.image"

// introduce waits until each image has its ID for a name, by which pods mount one as a volume. An
// import under a name that was there before keeps the label, so that the service takes the new
// content for known. Without the label it looks again.
func (s State) introduce(ctx context.Context, digests map[string]string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		present, err := s.imageDigests(ctx)
		if err != nil {
			return err
		}
		strangers := withoutID(present, digests)
		if len(strangers) == 0 {
			return nil
		}
		for _, name := range strangers {
			if _, err := s.ctr(ctx, "images", "label", name, managedLabel+"="); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("containerd does not take notice of %s: %w", strings.Join(strangers, ", "), ctx.Err())
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// withoutID returns the names of images whose digest has no name that is an ID.
func withoutID(present, digests map[string]string) []string {
	known := map[string]bool{}
	for name, digest := range present {
		known[digest] = known[digest] || strings.HasPrefix(name, "sha256:")
	}
	var names []string
	for name, digest := range digests {
		if !known[digest] {
			names = append(names, name)
		}
	}
	return names
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
