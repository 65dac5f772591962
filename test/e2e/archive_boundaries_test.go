//go:build e2e

package e2e

// An archiver may be killed at any moment. The next one finds only what it has written to the store
// and to the API server, so there are two moments per write: before it is done, and after it is
// done but before the archiver knows. At each of them:
//
//   - while no archiver runs, no run is released or deleted that is not completely in the archive,
//     and no protected run can be deleted;
//   - the next archiver archives the run, once, indexes, releases and prunes it, as if nothing had
//     happened;
//   - fsck reports what the killed attempt left as abandoned, never as damage.
//
// The archivers are real processes, killed with SIGKILL, at work on the real API server and a real
// S3 server.

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Writes that the state of a run depends on.
const (
	writeProtect = "PATCH taskruns: finalizers"
	writeRecord  = "PUT record.json"
	writeSmall   = "PUT log-0-step-small.txt"
	writeLarge   = "POST log-0-step-large.txt?uploadId"
	writeCommit  = "PUT commit"
	writeRelease = "PATCH taskruns: annotations, finalizers"
	writePrune   = "DELETE taskruns"
)

// lifeWrites are the writes of a run's life, in the order of the phases in pkg/archive/archiver.
// The record is over 64 KiB and therefore not in the commit, unlike its events; each log is an
// object of its own, one of which is uploaded to S3 in parts of 5 MiB.
var lifeWrites = []string{
	writeProtect, writeRecord, writeSmall,
	"POST log-0-step-large.txt?uploads", "PUT log-0-step-large.txt?partNumber", writeLarge,
	writeCommit, writeRelease, writePrune,
}

// boundary is the write at which an archiver is killed; the zero value is none.
type boundary struct {
	write string
	// persisted says that the server has done it.
	persisted bool
	// refused is a write that the server must refuse for the archiver to reach the boundary.
	refused string
}

// done reports whether a write of a run's life happened before the boundary, or at it if persisted.
func (b boundary) done(write string) bool {
	at := slices.Index(lifeWrites, b.write)
	if b.refused != "" {
		at = slices.Index(lifeWrites, b.refused)
	}
	i := slices.Index(lifeWrites, write)
	return i < at || i == at && b.persisted && b.refused == ""
}

func (b boundary) String() string {
	if b.persisted {
		return b.write + ", done"
	}
	return b.write + ", not done"
}

func TestArchiveKilledAtEachWrite(t *testing.T) {
	t.Parallel()
	p, server := newPlace(t), newS3(t)
	t.Run("a life without a kill", func(t *testing.T) {
		t.Parallel()
		l := newLife(t, p.namespace, "run-undisturbed", server)
		l.begin(boundary{})
		l.gone(l.name)
		if diff := cmp.Diff(lifeWrites, l.tap.kept()); diff != "" {
			t.Errorf("the writes of a run's life: %s", diff)
		}
		l.wantWhole(0)
	})
	boundaries := []boundary{}
	for _, persisted := range []bool{false, true} {
		for _, write := range lifeWrites {
			boundaries = append(boundaries, boundary{write: write, persisted: persisted})
		}
		// A failed attempt deletes what it has stored.
		boundaries = append(boundaries,
			boundary{write: "DELETE record.json", persisted: persisted, refused: writeSmall})
	}
	for i, b := range boundaries {
		t.Run(b.String(), func(t *testing.T) {
			t.Parallel()
			newLife(t, p.namespace, fmt.Sprint("run-", i), server).killedAt(b)
		})
	}
}

// killedAt kills the archiver at the boundary, checks, and lets another one continue.
func (l *life) killedAt(b boundary) {
	l.t.Helper()
	l.begin(b)
	select {
	case <-l.tap.dead:
	case <-l.ctx.Done():
		l.t.Fatalf("the archiver did not come to its boundary; it wrote %q", l.tap.kept())
	}
	want := b.standing()
	l.wantStanding(want)
	if want.Protected && !b.persisted { // of the others nobody but the archiver deletes the run
		if err := cluster.Tekton.TektonV1().TaskRuns(l.namespace).Delete(l.ctx, l.name,
			metav1.DeleteOptions{}); err != nil {
			l.t.Error(err)
		}
		l.wantStanding(want)
	}
	l.tap.start(boundary{}, l.start)
	l.gone(l.name)
	l.wantWhole(want.Abandoned)
}

// standing is a run's state while no archiver runs.
func (b boundary) standing() standing {
	s := standing{
		Protected: b.done(writeProtect) && !b.done(writeRelease), Committed: b.done(writeCommit),
		Indexed:  b.done(writeCommit) && b.write != writeCommit,
		Released: b.done(writeRelease) && !b.done(writePrune), Pruned: b.done(writePrune),
	}
	for _, object := range []string{writeRecord, writeSmall, writeLarge} {
		if b.done(object) && !s.Committed && (b.refused == "" || !b.persisted) {
			s.Abandoned++
		}
	}
	return s
}
