package admission_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	admissionv1 "k8s.io/api/admission/v1"
	ctrladmission "sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/indelible-ci/indelible/pkg/admission"
	"github.com/indelible-ci/indelible/pkg/admission/guard"
	"github.com/indelible-ci/indelible/pkg/result"
)

// What one review of the guard costs with a result of 1 MiB, a newline in every 80 bytes: the
// guard's own share, then with what controller-runtime reads and decodes before it, then with what
// the network takes, TLS included. The pod sends a sparse object.
func BenchmarkReview(b *testing.B) {
	value, err := json.Marshal(strings.Repeat(strings.Repeat("v", 79)+"\n", 1<<20/80))
	if err != nil {
		b.Fatal(err)
	}
	const metadata, running = `"metadata":{"namespace":"team","name":"run","uid":"run-uid"},`, `"podName":"run-pod",` +
		spec
	results := `"results":[{"name":"a","type":"string","value":` + string(value) + `}]`
	without, with := `{`+metadata+`"status":{`+running+`}}`, `{`+metadata+`"status":{`+running+`,`+results+`}}`
	sparse := `{` + metadata + `"status":{` + results + `}}`
	user, _, _ := strings.Cut(stored, `"oldObject"`)
	server := newServer()
	network := httptest.NewUnstartedServer(nil)
	network.Config, network.EnableHTTP2 = newServer(), true // for its flow control
	network.Config.TLSConfig = nil                          // its own certificate
	network.StartTLS()
	defer network.Close()
	for _, bench := range []struct{ name, user, stored, incoming string }{
		{"a pod publishes", user, without, sparse},
		{"a pod publishes again", user, with, sparse},
		{"the controller keeps the result", controller, with, with},
	} {
		body := []byte(review(status + bench.user + `"oldObject":` + bench.stored + `,"object":` + bench.incoming))
		run := func(name string, answer func() []byte) {
			b.Run(bench.name+"/"+name, func(b *testing.B) {
				b.SetBytes(int64(len(body)))
				b.ReportAllocs()
				for b.Loop() {
					if answer := answer(); !bytes.Contains(answer, []byte(`"allowed":true`)) {
						b.Fatalf("%.500s", answer)
					}
				}
			})
		}
		run("the guard", guardAlone(b, body))
		run("with decoding", func() []byte { return post(server, admission.GuardPath, body).Body.Bytes() })
		run("with the network", func() []byte { return send(b, network, body) })
	}
}

// guardAlone decides a review that has been decoded already.
func guardAlone(b *testing.B, body []byte) func() []byte {
	var asked admissionv1.AdmissionReview
	if err := json.Unmarshal(body, &asked); err != nil {
		b.Fatal(err)
	}
	handler := guard.NewGuard(guard.Options{
		Settings: func() guard.Settings {
			return guard.Settings{Controllers: []string{"system:serviceaccount:tekton-pipelines:tekton-pipelines-controller"},
				Limits: result.DefaultLimits()}
		},
		Pods: runPod{}, Log: logr.Discard(),
	})
	return func() []byte {
		answer, err := json.Marshal(handler.Handle(b.Context(),
			ctrladmission.Request{AdmissionRequest: *asked.Request}).AdmissionResponse)
		if err != nil {
			b.Fatal(err)
		}
		return answer
	}
}

func send(b *testing.B, to *httptest.Server, body []byte) []byte {
	request, err := http.NewRequestWithContext(b.Context(), http.MethodPost, to.URL+admission.GuardPath,
		bytes.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	answer, err := to.Client().Do(request)
	if err != nil {
		b.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		b.Fatal(err)
	}
	return text
}
