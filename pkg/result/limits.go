package result

import (
	"fmt"
	"strconv"
	"strings"
)

// Default limits, in bytes. etcd refuses requests over 1.5 MiB; the object limit leaves a margin.
const (
	DefaultResultLimit  = 1 << 20          // 1 MiB
	DefaultTaskRunLimit = 5 << 18          // 1.25 MiB
	DefaultObjectLimit  = 1434 * (1 << 10) // 1.4 MiB
)

// TektonLimit is how much Tekton alone can pass on of a step's results together, in bytes: the
// kubelet reads no more of a termination message (Tekton Pipelines docs/tasks.md, "Larger Results
// using Sidecar Logs").
const TektonLimit Size = 4096

// Limits bounds what a TaskRun may hold, in bytes.
type Limits struct {
	// Result bounds the value of one result as written to its file.
	Result int64
	// TaskRun bounds the values of all results and step results of one TaskRun together.
	TaskRun int64
	// Object bounds the whole TaskRun as JSON.
	Object int64
}

// DefaultLimits returns the limits of an installation that configures none.
func DefaultLimits() Limits {
	return Limits{Result: DefaultResultLimit, TaskRun: DefaultTaskRunLimit, Object: DefaultObjectLimit}
}

// Size is a number of bytes that prints for people: exact, and in the nearest binary unit.
type Size int64

// String returns, for example, "1048576 bytes (1 MiB)" or "81920 bytes (80 KiB)"; below 1 KiB just
// the bytes.
func (s Size) String() string {
	units := []struct {
		bytes Size
		name  string
	}{{1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}}
	for _, u := range units {
		if s >= u.bytes {
			n := strconv.FormatFloat(float64(s)/float64(u.bytes), 'f', 2, 64)
			n = strings.TrimRight(strings.TrimRight(n, "0"), ".")
			return fmt.Sprintf("%d bytes (%s %s)", int64(s), n, u.name)
		}
	}
	return fmt.Sprintf("%d bytes", int64(s))
}
