package node

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

const (
	gigabyte = 1000 * 1000 * 1000
	// memoryNeeded is what a machine of 4 GB reports, whose kernel keeps some for itself. Linking
	// Kubernetes takes 3 GB.
	memoryNeeded = 35 * gigabyte / 10
	// The space for the compiler's caches, and for a cluster with its images.
	buildSpace   = 15 * gigabyte
	clusterSpace = 3 * gigabyte
)

// CheckSpace refuses a disk that the builds, if any are to be made, or the cluster would fill.
func (m Machine) CheckSpace(state, cache string, builds bool) error {
	if builds {
		if left := m.Free(cache); left != 0 && left < buildSpace {
			return fmt.Errorf(
				"building needs 15 GB of disk, and %s are free for %s: make room, or set INDELIBLE_CACHE, "+
					"GOCACHE and "+
					"GOMODCACHE to folders elsewhere", gigabytes(left), cache)
		}
	}
	if left := m.Free(state); left != 0 && left < clusterSpace {
		return fmt.Errorf(
			"the cluster needs 3 GB of disk, and %s are free for %s: make room, or give a folder elsewhere "+
				"with --state",
			gigabytes(left), state)
	}
	return nil
}

func gigabytes(bytes uint64) string { return fmt.Sprintf("%.1f GB", float64(bytes)/gigabyte) }

func memory() uint64 {
	content, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	return memTotal(string(content))
}

// memTotal reads the line "MemTotal: 4025628 kB", where kB are 1024 bytes.
func memTotal(meminfo string) uint64 {
	for _, line := range strings.Split(meminfo, "\n") {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "MemTotal:" {
			kilobytes, err := strconv.ParseUint(fields[1], 10, 64)
			if err != nil {
				return 0
			}
			return kilobytes * 1024
		}
	}
	return 0
}

// free asks the nearest folder above that exists.
func free(dir string) uint64 {
	var stat syscall.Statfs_t
	for {
		err := syscall.Statfs(dir, &stat)
		if err == nil {
			return stat.Bavail * uint64(stat.Bsize) //nolint:gosec // a block's size is positive
		}
		if !errors.Is(err, os.ErrNotExist) || dir == filepath.Dir(dir) {
			return 0
		}
		dir = filepath.Dir(dir)
	}
}
