package guard

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

// One review each, with a result of 1 MiB, a newline in every 80 bytes; the pod sends a sparse
// object. Decoding is the baseline: what encoding/json takes to decode the two objects of the
// publication into maps.
func BenchmarkReview(b *testing.B) {
	value := string(quoteJSON(strings.Repeat(strings.Repeat("v", 79)+"\n", 1<<20/80)))
	stored := withStatus(b, `{"results":[{"name":"text","type":"string","value":`+value+`}]}`)
	published := sparse(`{"results":[{"name":"text","value":` + value + `}]}`)
	finished := mergePatch(b, stored, `{"status":{"completionTime":"2026-01-02T03:05:00Z"}}`)
	for _, bench := range []struct {
		name             string
		user             authenticationv1.UserInfo
		stored, incoming string
	}{
		{"a pod publishes", ownPod, running, published},
		{"a pod publishes again", ownPod, stored, published},
		{"the controller keeps the result", trustedController, stored, finished},
		{"the controller loses the result and gets it back", trustedController, stored, running},
	} {
		b.Run(bench.name, func(b *testing.B) {
			guard, req := NewGuard(newBench(b).options), request(bench.user, bench.stored, bench.incoming)
			b.SetBytes(int64(len(bench.stored) + len(bench.incoming)))
			b.ReportAllocs()
			for b.Loop() {
				if resp := guard.Handle(context.Background(), req); !resp.Allowed {
					b.Fatal(resp.Result.Message)
				}
			}
		})
	}
	b.Run("decoding only, by encoding/json", func(b *testing.B) {
		req := request(ownPod, running, published)
		b.SetBytes(int64(len(running) + len(published)))
		b.ReportAllocs()
		for b.Loop() {
			decodeBoth(b, req)
		}
	})
}

func decodeBoth(b *testing.B, req admission.Request) {
	for _, raw := range [][]byte{req.OldObject.Raw, req.Object.Raw} {
		var object map[string]any
		if err := json.Unmarshal(raw, &object); err != nil {
			b.Fatal(err)
		}
	}
}
