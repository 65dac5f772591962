package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Down ends the cluster and takes back everything it made on this machine outside its folder. What
// it stored stays, for the next Up, unless purge is set. Each part runs whatever became of the
// others; running it again finishes what failed.
func (s State) Down(ctx context.Context, purge bool, log func(string, ...any)) error {
	s.adopt()
	components := s.components()
	slices.Reverse(components)
	var failed []error
	// Before the shims end, which know where they listen.
	failed = append(failed, s.rememberShimSockets())
	for _, c := range components {
		if c.name == "containerd" {
			// After the kubelet, which would start pods again, and before the one that can end
			// them.
			failed = append(failed, s.endContainers(ctx, log))
		}
		if s.running(c.name) != 0 {
			log("ending %s", c.name)
		}
		failed = append(failed, s.stop(c.name, c.patience))
	}
	failed = append(failed, s.endShims(), settled(ctx, s.unmount), removeNetwork(ctx), settled(ctx, s.removeOutside),
		s.restoreSettings())
	if err := errors.Join(failed...); err != nil {
		return fmt.Errorf("%w\nrun down again to finish", err)
	}
	if err := os.RemoveAll(s.path("run")); err != nil {
		return err
	}
	if !purge {
		return nil
	}
	return s.purge()
}

// endContainers kills all containers and makes containerd forget them, so that the next start meets
// none that died without it.
func (s State) endContainers(ctx context.Context, log func(string, ...any)) error {
	if s.running("containerd") == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	listed, err := s.ctr(ctx, "containers", "list", "--quiet")
	if err != nil {
		return err
	}
	containers := strings.Fields(listed)
	if len(containers) > 0 {
		log("ending %d containers", len(containers))
	}
	for _, container := range containers {
		// A container that has ended has no task: the first command fails then, and need not
		// succeed.
		_, _ = s.ctr(ctx, "tasks", "delete", "--force", container)
		if _, err := s.ctr(ctx, "containers", "delete", container); err != nil &&
			!strings.Contains(err.Error(), "not found") {
			return err
		}
	}
	return nil
}

// endShims kills the shims that are left, with what runs below them. A shim carries the address of
// its containerd, which is in our folder, so none of another containerd is met.
func (s State) endShims() error {
	for _, pid := range s.shims() {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("end a containerd shim: %w", err)
		}
	}
	return s.endContained()
}

// endContained kills the processes whose root is below our folder: those of containers that lost
// their shim.
func (s State) endContained() error {
	until := time.Now().Add(10 * time.Second)
	for {
		pids := s.contained()
		if len(pids) == 0 {
			return nil
		}
		if time.Now().After(until) {
			return fmt.Errorf("processes %v of containers do not end", pids)
		}
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// unmount takes down every mount below our folder, deepest first.
func (s State) unmount() error {
	var failed []error
	for _, point := range s.mounts() {
		if err := syscall.Unmount(point, 0); err == nil || errors.Is(err, syscall.EINVAL) {
			continue
		}
		// Something still has a file open there; it disappears when that is closed.
		if err := syscall.Unmount(point, syscall.MNT_DETACH); err != nil {
			failed = append(failed, fmt.Errorf("unmount %s: %w", point, err))
		}
	}
	return errors.Join(failed...)
}

// removeOutside removes what components put outside our folder.
func (s State) removeOutside() error {
	var failed []error
	for _, path := range append(s.logLinks(), s.shimSockets()...) {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			failed = append(failed, err)
		}
	}
	for _, dir := range s.cgroups() {
		if err := os.Remove(dir); err != nil && !errors.Is(err, os.ErrNotExist) {
			failed = append(failed, err)
		}
	}
	// Both are left alone if they hold anything, such as another containerd's sockets.
	for _, dir := range []string{shimSocketDir, filepath.Dir(shimSocketDir), containerLogLinks} {
		_ = os.Remove(dir)
	}
	return errors.Join(failed...)
}

// purge removes the folder. A mount left below it would lose its content, so there must be none.
func (s State) purge() error {
	if mounts := s.mounts(); len(mounts) > 0 {
		return fmt.Errorf("%s is still mounted: not removing %s", mounts[0], s)
	}
	if _, err := os.Stat(s.path("pids")); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return os.RemoveAll(string(s))
}
