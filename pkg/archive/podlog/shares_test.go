package podlog

import (
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/types"
)

// One namespace or run cannot take all streams or the whole spool.
func TestFollowerIsShared(t *testing.T) {
	k := &fakeKubelet{state: "running", breaks: make([]int, 1_000_000)} // more than are read
	f := newTestFollower(t, k, t.TempDir())
	f.slots = make(chan struct{}, 40)
	followed := 0
	for i := range 30 {
		if f.Follow("greedy", Key{types.UID(fmt.Sprint(i)), fmt.Sprint("p-", i), "step-a"}) {
			followed++
		}
	}
	if followed != 20 {
		t.Errorf("one namespace has %d of 40 streams, want half", followed)
	}
	followed = 0
	for i := range 30 {
		if f.Follow("honest", Key{"one", "p-one", fmt.Sprint("sidecar-", i)}) {
			followed++
		}
	}
	if followed != maxOfRun {
		t.Errorf("one run has %d streams, want %d", followed, maxOfRun)
	}
}

// A run of many steps is followed to its last one: ended steps hold no stream.
func TestFollowerOfManySteps(t *testing.T) {
	f := newTestFollower(t, &fakeKubelet{gone: true}, t.TempDir())
	for i := range 2 * maxOfRun {
		key := Key{"one", "p", fmt.Sprint("step-", i)}
		if !f.Follow("team", key) {
			t.Fatalf("step %d is not followed", i)
		}
		<-f.Tail("team", key).done
	}
}

// What an earlier process has left in the spool counts in the share of its namespace, once, however
// it is taken up, and no longer once its run is forgotten.
func TestSharesAfterARestart(t *testing.T) {
	lines, _ := testLines()
	whole := strings.Join(lines, "")
	for name, take := range map[string]func(*testing.T, *Follower) *Tail{
		"asked for": func(_ *testing.T, f *Follower) *Tail { return f.Tail("ns", testKey) },
		"prepared": func(t *testing.T, f *Follower) *Tail {
			t.Helper()
			if err := f.Tail("ns", testKey).Prepare(); err != nil {
				t.Error(err)
			}
			return f.Tail("ns", testKey)
		},
		"finished": func(t *testing.T, f *Follower) *Tail {
			t.Helper()
			if err := f.Tail("ns", testKey).Finish(t.Context()); err != nil {
				t.Error(err)
			}
			return f.Tail("ns", testKey)
		},
		"followed": followToItsEnd,
	} {
		for _, end := range []int{len(lines[0]), len(lines[0]) + 10, len(whole)} { // the second is within a timestamp
			t.Run(fmt.Sprintf("%s after %d bytes", name, end), func(t *testing.T) {
				spool := t.TempDir()
				leave(t, spool, fileOf("ns", testKey), whole[:end])
				f := newTestFollower(t, &fakeKubelet{lines: lines, state: "terminated"}, spool)
				tail := take(t, f)
				share := tail.share
				if n := share.spooled.Load(); n != tail.size || f.spooled.Load() != n || n == 0 {
					t.Errorf("the share is %d bytes, the spool %d, the file %d", n, f.spooled.Load(), tail.size)
				}
				f.Forget(testKey.Run)
				f.removals.Wait()
				if share.spooled.Load() != 0 || f.spooled.Load() != 0 {
					t.Errorf("the share is %d bytes, the spool %d, of no files", share.spooled.Load(), f.spooled.Load())
				}
			})
		}
	}
}
