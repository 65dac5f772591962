package publisher

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Install copies the running program to dest, executable by everyone. The init container delivers
// the publisher this way.
//
// The copy is renamed into place when complete: a restarted init container replaces a partial copy,
// and never writes to a binary that is being executed (ETXTBSY).
func Install(dest string) (err error) {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find own executable: %w", err)
	}
	src, err := os.Open(self)
	if err != nil {
		return fmt.Errorf("open own executable: %w", err)
	}
	defer func() { _ = src.Close() }()

	tmp, err := os.CreateTemp(filepath.Dir(dest), ".publisher-*")
	if err != nil {
		return fmt.Errorf("install to %s: %w", dest, err)
	}
	defer func() {
		if err != nil {
			_ = tmp.Close()
			_ = os.Remove(tmp.Name())
		}
	}()
	if _, err = io.Copy(tmp, src); err != nil {
		return fmt.Errorf("install to %s: copy: %w", dest, err)
	}
	// The step's container may run as any user, so the mode does not depend on the umask.
	if err = tmp.Chmod(0o755); err != nil {
		return fmt.Errorf("install to %s: %w", dest, err)
	}
	if err = tmp.Close(); err != nil {
		return fmt.Errorf("install to %s: %w", dest, err)
	}
	if err = os.Rename(tmp.Name(), dest); err != nil {
		return fmt.Errorf("install to %s: %w", dest, err)
	}
	return nil
}
