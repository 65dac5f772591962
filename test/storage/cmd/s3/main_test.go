package main

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/indelible-ci/indelible/pkg/archive/store/cloud"
)

// What the command prints is all that a test in another module knows.
func TestRun(t *testing.T) {
	stdin, end := io.Pipe()
	printed, out := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- run(t.Context(), []string{"-stdin"}, stdin, out) }()
	line, err := bufio.NewReader(printed).ReadBytes('\n')
	if err != nil {
		t.Fatal(err)
	}
	var r ready
	if err := json.Unmarshal(line, &r); err != nil {
		t.Fatal(err)
	}
	for name, value := range r.Environment {
		t.Setenv(name, value)
	}
	s, err := cloud.Open(t.Context(), r.Store+"&timeout=2s")
	if err != nil {
		t.Fatal(err)
	}
	create := func(key string, want bool) {
		t.Helper()
		if err := s.Create(t.Context(), key, strings.NewReader("x")); (err == nil) != want {
			t.Errorf("create %s: %v, want success: %v", key, err, want)
		}
	}
	create("before", true)
	control(t, http.MethodPost, r.Control, `{"kind": "gone"}`, http.StatusNoContent)
	create("meanwhile", false)
	control(t, http.MethodPost, r.Control, `{"kind": "full"}`, http.StatusNoContent)
	create("meanwhile", false)
	control(t, http.MethodPost, r.Control, `{"kind": "lost"}`, http.StatusBadRequest)
	control(t, http.MethodDelete, r.Control, "", http.StatusNoContent)
	create("meanwhile", true)

	_ = end.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func control(t *testing.T, method, url, body string, want int) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url+"/fault", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != want {
		t.Errorf("%s %s: %s, want %d", method, body, response.Status, want)
	}
}
