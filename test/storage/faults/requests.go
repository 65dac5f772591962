package faults

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
)

var quiet = log.New(io.Discard, "", 0)

// requests forwards requests, or answers them itself. mu owns fault, and struck, the number of
// requests that it struck since it was set.
type requests struct {
	forward http.Handler
	mu      sync.Mutex
	fault   Fault
	struck  int64
}

func newRequests(target *url.URL) *requests {
	return &requests{forward: &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host // it is signed
		},
		Transport:     &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true}, // headers are signed
		FlushInterval: -1,
		ErrorLog:      quiet,
	}}
}

func (q *requests) set(f Fault) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.fault, q.struck = f, 0
}

// take says what strikes a request.
func (q *requests) take(r *http.Request) Kind {
	q.mu.Lock()
	defer q.mu.Unlock()
	kind := q.fault.Kind
	write := r.Method == http.MethodPut || r.Method == http.MethodPost
	conditional := r.Header.Get("If-None-Match") != ""
	if kind == "" || kind != ServerError && !write || (kind == Conflict || kind == Precondition) && !conditional {
		return ""
	}
	q.struck++
	if q.fault.Times == 1 {
		q.fault = Fault{}
	} else if q.fault.Times > 1 {
		q.fault.Times--
	}
	return kind
}

func (q *requests) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch q.take(r) {
	case ServerError:
		refuse(w, r, http.StatusServiceUnavailable, "SlowDown")
	case Conflict:
		refuse(w, r, http.StatusConflict, "ConditionalRequestConflict")
	case Precondition:
		refuse(w, r, http.StatusPreconditionFailed, "PreconditionFailed")
	case Full:
		refuse(w, r, http.StatusInsufficientStorage, "XMinioStorageFull")
	case LostResponse:
		q.forward.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	default:
		q.forward.ServeHTTP(w, r)
	}
}

// refuse answers as S3 does, after the body as most servers do.
func refuse(w http.ResponseWriter, r *http.Request, status int, code string) {
	_, _ = io.Copy(io.Discard, r.Body)
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w,
		`<?xml version="1.0" encoding="UTF-8"?><Error><Code>%s</Code><Message>set by a test</Message></Error>`, code)
}
