package archiver

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strings"

	"github.com/indelible-ci/indelible/pkg/archive/manifest"
	"github.com/indelible-ci/indelible/pkg/archive/run"
)

// A commit is bounded, and each log takes a part of it: a TaskRun of twenty steps with a hundred
// retries has more logs than a commit can name. Which of them are archived is decided before any is
// read: those of the last attempts, because that is what people look for. The first log part then
// says how many are left out.

const (
	// restReserve is what the events, which come after the logs, and the part about logs that are
	// left out may take.
	restReserve = manifest.MaxInline + 4<<10
	// longestReason is more than any reason of a log that is stored.
	longestReason = 160
	// longestContainer is the longest name of a container.
	longestContainer = 63
	// spareLogs is for how many logs of an attempt there is room beyond those that the run's status
	// names: of containers that others add to the pod, and of failed init containers.
	spareLogs = 4
)

// logsThatFit stores the logs that the commit has room for.
func (u *upload) logsThatFit(ctx context.Context) error {
	if err := u.boundLogs(); err != nil {
		return err
	}
	return u.logs(ctx)
}

// boundLogs bounds the logs of each attempt to what fits into the commit, and records how many are
// left out.
func (u *upload) boundLogs() error {
	taken, err := u.head().Bytes()
	if err != nil {
		return err
	}
	base, err := u.logBytes()
	if err != nil {
		return err
	}
	attempts := u.run.Attempts()
	names := make([][]string, 0, len(attempts))
	for i := range attempts {
		names = append(names, run.ContainersOf(&attempts[i], nil))
	}
	bounds, left, last := shareRoom(manifest.MaxCommit-taken-restReserve-manifest.MaxTexts, base, names)
	u.run.BoundLogs(bounds)
	if left > 0 {
		u.missing(manifest.Part{Type: manifest.Log},
			fmt.Sprintf("the commit has no room for %d logs of attempts 1 to %d", left, last+1))
		u.Log.Info("A run has more logs than a commit can name", "run", u.run.Reference().String(), "left", left)
	}
	return nil
}

// logBytes returns how many bytes of a commit a log takes at most, in addition to twice the name of
// its container and what is counted for MaxTexts.
func (u *upload) logBytes() (int, error) {
	p := manifest.Part{Type: manifest.Log, State: manifest.Truncated, Reason: strings.Repeat("x", longestReason),
		Container: "x", Attempt: math.MaxInt16, Content: &manifest.Sum{Bytes: math.MaxInt64},
		Stored: &manifest.Sum{Bytes: math.MaxInt64, SHA256: strings.Repeat("0", 64)}}
	key, err := u.Cluster.Part(u.run.ID(), u.id, logName(&p))
	if err != nil {
		return 0, err
	}
	p.Key = key
	text, err := json.Marshal(p)
	return len(text), err
}

// shareRoom returns how many logs of each attempt fit into so many bytes, given the names of the
// containers that are known. The last attempts get theirs first. left is how many known ones do not
// fit, last the last attempt of which one does not.
func shareRoom(room, base int, names [][]string) (bounds []int, left, last int) {
	bounds = make([]int, len(names))
	largest := base + 2*longestContainer
	for i := len(names) - 1; i >= 0; i-- {
		for _, name := range names[i] {
			if size := base + 2*len(name); left == 0 && size <= room {
				bounds[i]++
				room -= size
				continue
			}
			if left++; left == 1 {
				last = i
			}
		}
		if spare := min(spareLogs, room/largest); left == 0 && spare > 0 {
			bounds[i] += spare
			room -= spare * largest
		}
	}
	if each := room / largest / max(1, len(names)); left == 0 && each > 0 {
		for i := range bounds {
			bounds[i] += each
		}
	}
	return bounds, left, last
}
