// Command dictionary makes the dictionary that the index compresses runs and commits with. It has
// what is the same in all runs that Tekton's controller leaves: the names of fields, Tekton's
// labels and texts, and the JSON around.
//
// go generate runs it in pkg/archive/index/pack. Its result is always the same. Data compressed
// with one dictionary cannot be read with another, so a change must raise the index's
// schemaVersion.
package main

import (
	"fmt"
	"math/rand/v2"
	"os"

	"github.com/klauspost/compress/zstd"
)

// id is outside the reserved ranges (RFC 8878, 7.1).
const id = 40961

func main() {
	data, err := build()
	if err == nil {
		err = os.WriteFile("dictionary/runs.zdict", data, 0o600)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func build() ([]byte, error) {
	var history []byte
	for _, file := range files {
		text, err := sample(file, nil)
		if err != nil {
			return nil, err
		}
		history = append(history, text...)
	}
	// The frequency of symbols is learned from runs that differ as real ones do.
	var contents [][]byte
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // it must be the same each time
	for range 200 {
		for _, file := range files {
			text, err := sample(file, random)
			if err != nil {
				return nil, err
			}
			contents = append(contents, text)
		}
	}
	return zstd.BuildDict(zstd.BuildDictOptions{ID: id, Contents: contents, History: history, Offsets: [3]int{1, 4, 8},
		Level: zstd.SpeedFastest})
}
