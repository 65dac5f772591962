package main

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/indelible-ci/indelible/pkg/archive/query/access/accesstest"
	"github.com/indelible-ci/indelible/pkg/archive/query/api"
	"github.com/indelible-ci/indelible/pkg/config"
)

// The archiver serves its open archive at the configured address, and nothing else.
func TestServeAPI(t *testing.T) {
	made := makeArchive(t)
	file, err := config.Load(made.config)
	if err != nil {
		t.Fatal(err)
	}
	a, err := openArchive(t.Context(), file.Archive, makeIndex)
	if err != nil {
		t.Fatal(err)
	}
	defer a.close()
	at := make(chan string, 1)
	log := funcr.NewJSON(func(line string) {
		select {
		case at <- line:
		default:
		}
	}, funcr.Options{})
	r := &replica{log: log, rest: accesstest.New(t).Config, apiMetrics: api.NewMetrics(prometheus.NewRegistry())}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		r.serveAPI(ctx, a, config.API{Address: "127.0.0.1:0"})
		close(ended)
	}()
	var address string
	select {
	case line := <-at:
		address = jsonField(t, line, "address")
	case <-time.After(time.Minute):
		t.Fatal("it serves nowhere")
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet,
		"http://"+address+"/apis/results.tekton.dev/v1alpha2/parents/-/results", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	if _ = response.Body.Close(); response.StatusCode != http.StatusUnauthorized {
		t.Errorf("without a token: %s", response.Status)
	}
	http.DefaultClient.CloseIdleConnections()
	stop()
	<-ended
	r.serveAPI(t.Context(), a, config.API{}) // returns at once
}

func jsonField(t *testing.T, line, name string) string {
	t.Helper()
	var fields map[string]any
	if err := json.Unmarshal([]byte(line), &fields); err != nil {
		t.Fatal(err)
	}
	text, _ := fields[name].(string)
	return text
}
