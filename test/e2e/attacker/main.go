// Command attacker runs in a pod without rights for TestPortUnderAttack: hostile clients of one
// webhook, for a while. It prints how often each got which answer.
package main

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

const (
	declared = 7 << 20
	large    = 1400 << 10 // of each of the two objects in a review
)

//nolint:gosec // an attacker does not care whom he talks to
var config = &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}

func main() {
	address := flag.String("address", "", "`host:port` of the webhook")
	length := flag.Duration("for", 30*time.Second, "how long")
	forge := flag.String("forge", "", "instead: post this `file` to -path, and print the answer")
	path := flag.String("path", "/guard", "")
	flag.Parse()
	if *forge != "" {
		body, err := os.ReadFile(*forge)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println(post(client(), "https://"+*address+*path, body))
		return
	}
	now := time.Now()
	a := &attack{address: *address, crowded: now.Add(*length * 2 / 3), end: now.Add(*length),
		answers: map[string]map[string]int{}}
	a.run()
	_ = json.NewEncoder(os.Stdout).Encode(a.answers)
}

type attack struct {
	address string
	crowded time.Time // from when on there are too many connections for the others to get one
	end     time.Time

	mu      sync.Mutex
	answers map[string]map[string]int // by client, how often what
}

// run runs all clients, about a hundred.
func (a *attack) run() {
	deep := []byte(fmt.Sprintf(review, strings.Repeat(`{"a":`, 10_000)+"1"+strings.Repeat("}", 10_000), "{}"))
	object := fmt.Sprintf(taskRun, strings.Repeat("x", large))
	valid := []byte(fmt.Sprintf(review, object, object))
	shared := client()
	// A few send slowly: each holds, for some seconds, more than half of this address's share, and
	// the others wait for it.
	var clients sync.WaitGroup
	for name, c := range map[string]struct {
		n  int
		do func() string
	}{
		"bodies that do not come": {30, func() string { return a.body(0, 0) }},
		"bodies that come slowly": {3, func() string { return a.body(20<<10, 100*time.Millisecond) }},
		"bodies that nest deeply": {4,
			func() string { return post(shared, "https://"+a.address+"/guard?timeout=30s", deep) }},
		"large reviews": {16,
			func() string { return post(shared, "https://"+a.address+"/guard?timeout=30s", valid) }},
		"connections without TLS": {300, a.connection},
	} {
		a.answers[name] = map[string]int{}
		for range c.n {
			clients.Go(func() {
				for time.Now().Before(a.end) {
					got, _, _ := strings.Cut(c.do(), "\n")
					a.mu.Lock()
					a.answers[name][got]++
					a.mu.Unlock()
					time.Sleep(20 * time.Millisecond) // an attacker has bounds, too
				}
			})
		}
	}
	clients.Wait()
}

// body declares 7 MiB, sends the first bytes at once, and then one at a time.
func (a *attack) body(first int, between time.Duration) string {
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 5 * time.Second}, "tcp", a.address, config)
	if err != nil {
		return "no connection"
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(a.end)
	_, _ = fmt.Fprintf(conn, "POST /guard?timeout=30s HTTP/1.1\r\nHost: x\r\nContent-Type: "+
		"application/json\r\nContent-Length: %d\r\n\r\n%s",
		declared, strings.Repeat(" ", first))
	done := make(chan struct{})
	defer close(done)
	if between > 0 {
		go func() {
			for {
				select {
				case <-done:
					return
				case <-time.After(between):
					_, _ = conn.Write([]byte(" "))
				}
			}
		}()
	}
	status := make([]byte, len("HTTP/1.1 408"))
	if _, err := io.ReadFull(conn, status); err != nil {
		return "closed"
	}
	return string(status)
}

func (a *attack) connection() string {
	time.Sleep(time.Until(a.crowded))
	conn, err := (&net.Dialer{Timeout: 5 * time.Second}).Dial("tcp", a.address)
	if err != nil {
		return "no connection"
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(a.end)
	_, _ = conn.Read(make([]byte, 1))
	return "closed"
}

func client() *http.Client {
	return &http.Client{Transport: &http.Transport{TLSClientConfig: config.Clone(), ForceAttemptHTTP2: true},
		Timeout: 30 * time.Second}
}

// post returns the status, and below it what was answered.
func post(c *http.Client, url string, body []byte) string {
	response, err := c.Post(url, "application/json", bytes.NewReader(body)) //nolint:noctx // the client has a time-out
	if err != nil {
		return "no answer"
	}
	defer func() { _ = response.Body.Close() }()
	text, _ := io.ReadAll(response.Body)
	return response.Status + "\n" + string(text)
}

// review is a write of a pod's to a TaskRun, with the new and the stored object.
const review = `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"u","operation":"UPDATE","namespace":"team","name":"run",
"kind":{"group":"tekton.dev","version":"v1","kind":"TaskRun"},"resource":{"group":"tekton.dev","version":"v1","resource":"taskruns"},"subResource":"status",
"userInfo":{"username":"system:serviceaccount:team:default","groups":["system:serviceaccounts"],"extra":{
"authentication.kubernetes.io/pod-name":["run-pod"],"authentication.kubernetes.io/pod-uid":["p-1"]}},"object":%s,"oldObject":%s}}`

const taskRun = `{"apiVersion":"tekton.dev/v1","kind":"TaskRun","metadata":{"namespace":"team","name":"run","uid":"r-1"},
"status":{"podName":"run-pod","results":[{"name":"a","type":"string","value":"%s"}]}}`
