package main

import (
	"bytes"
	"os"
	"testing"
)

// Data packed with one dictionary cannot be read with another: the one in git must be what the
// templates make.
func TestDictionaryIsOfTheseTemplates(t *testing.T) {
	want, err := os.ReadFile("runs.zdict")
	if err != nil {
		t.Fatal(err)
	}
	got, err := build()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("runs.zdict is of other templates: run go generate in pkg/archive/index/pack, and count schemaVersion up in pkg/archive/index")
	}
}
