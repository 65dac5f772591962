package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"github.com/indelible-ci/indelible/pkg/archive/store"
)

// peerLog is the size of a log that both get by turns, peerTurns times.
const peerLog, peerTurns = 64 * mib, 9

// peerLogs measures how fast a log gets into a directory and out of it, of this process and of
// Tekton Results' API server with its storage in files. Ours is packed, flushed and read back
// before it counts as stored, and compared and unpacked when it is read; theirs goes over gRPC, as
// from its watcher, and is none of that.
func (b *bench) peerLogs(ctx context.Context) (rows []row, err error) {
	to, err := store.NewDirectory(filepath.Join(b.folder, "logs"))
	if err != nil {
		return nil, err
	}
	r := &tektonResults{b: b, folder: filepath.Join(b.folder, "peer")}
	defer func() { err = errors.Join(err, r.stop()) }()
	client, file, block := filepath.Join(r.folder, "logs"), filepath.Join(r.folder, "log"), logBlock()
	if err := build(ctx, "test/peer", client, "./logs"); err != nil {
		return nil, err
	}
	if err := r.startAPI(ctx,
		"LOGS_API=true\nLOGS_TYPE=File\nLOGS_PATH="+filepath.Join(r.folder, "stored")); err != nil {
		return nil, err
	}
	text, err := io.ReadAll(&lines{left: peerLog, block: block})
	if err := errors.Join(err, os.WriteFile(file, text, 0o600)); err != nil {
		return nil, err
	}
	note("a log of %d MiB into Indelible and Tekton Results, and out, %d times by turns", peerLog/mib, peerTurns)
	var ours, theirs, ratio [2][]float64
	for i := range peerTurns + 1 {
		var mine, other [2]float64
		if mine[0], mine[1], err = logSpeed(ctx, to, fmt.Sprint(i), &lines{left: peerLog, block: block}); err != nil {
			return nil, err
		}
		out, err := exec.CommandContext(ctx, client, r.api, file).CombinedOutput()
		var said struct{ In, Out float64 }
		if err := errors.Join(err, json.Unmarshal(out, &said), r.alive()); err != nil {
			return nil, fmt.Errorf("%w: %.500s", err, out)
		}
		other = [2]float64{said.In / 1e6, said.Out / 1e6}
		for way := range ratio {
			if i > 0 { // the first opens what stays open
				ours[way], theirs[way] = append(ours[way], mine[way]), append(theirs[way], other[way])
				ratio[way] = append(ratio[way], mine[way]/other[way])
			}
		}
	}
	for way, what := range []string{"into", "out of"} {
		what = fmt.Sprintf("log of %d MiB %s Indelible by Tekton Results, median of %d turns", peerLog/mib, what,
			peerTurns)
		rows = append(rows, atLeast(what, median(ratio[way]), 1, ""),
			says("the two", "%.0f, %.0f MB/s", median(ours[way]), median(theirs[way])))
	}
	return rows, nil
}

func median(all []float64) float64 { return slices.Sorted(slices.Values(all))[len(all)/2] }
