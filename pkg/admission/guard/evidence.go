package guard

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"hash"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"

	"github.com/indelible-ci/indelible/pkg/jsonscan"
)

// The keys of the audit annotations that an allowed publication gets. In the API server's audit log
// each begins with guard.indelible.dev/.
const (
	auditTaskRun    = "taskrun-uid"
	auditPod        = "pod-uid"
	auditCredential = "credential-id" // of the token; Kubernetes 1.32 and later
	auditResults    = "published"
)

// extraCredentialID is the identifier of a token (KEP-4193): a JWT's jti.
const extraCredentialID = "authentication.kubernetes.io/credential-id"

// evidence documents an allowed publication in the audit log: run, pod, token, and the SHA-256 of
// each added result's text. It contains no values.
func evidence(req *admissionv1.AdmissionRequest, r requester, v verdict) map[string]string {
	said := map[string]string{auditTaskRun: v.taskRunUID, auditPod: r.podUID}
	if id := single(req.UserInfo.Extra[extraCredentialID]); id != "" {
		said[auditCredential] = id
	}
	digests := make([]string, len(v.added))
	for i, a := range v.added {
		digests[i] = a.key + "=sha256:" + digestOf(a.text)
	}
	said[auditResults] = strings.Join(digests, " ")
	return said
}

// digestOf returns the SHA-256 of what a JSON string decodes to, in hexadecimal.
func digestOf(text json.RawMessage) string {
	sum := sha256.New()
	hashText(sum, text[1:len(text)-1])
	return hex.EncodeToString(sum.Sum(nil))
}

// hashAtOnce is how much text is decoded before it is hashed: hashing line by line took longer than
// everything else.
const hashAtOnce = 4 << 10

// hashText hashes what the text between two quotes decodes to.
func hashText(sum hash.Hash, text []byte) {
	decoded := make([]byte, 0, 2*hashAtOnce)
	for len(text) > 0 {
		n := min(len(text), hashAtOnce)
		if at := bytes.IndexByte(text[:n], '\\'); at >= 0 {
			n = at
		}
		decoded, text = append(decoded, text[:n]...), text[n:]
		if len(text) > 0 && text[0] == '\\' {
			decoded, n = jsonscan.AppendEscape(decoded, text)
			text = text[n:]
		}
		if len(decoded) >= hashAtOnce {
			sum.Write(decoded)
			decoded = decoded[:0]
		}
	}
	sum.Write(decoded)
}
