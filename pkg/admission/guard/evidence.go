package guard

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"hash"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"
)

// The keys of the audit annotations that an allowed publication gets. In the API server's audit log each begins with
// guard.indelible.dev/.
const (
	auditTaskRun    = "taskrun-uid"
	auditPod        = "pod-uid"
	auditCredential = "credential-id" // the token's, where the API server names it (Kubernetes 1.32 and later)
	auditResults    = "published"
)

// extraCredentialID is the identifier of a token (KEP-4193): a JWT's jti.
const extraCredentialID = "authentication.kubernetes.io/credential-id"

// evidence says who published what, for the audit log: the run, the pod and the token that it was, and the SHA-256 of
// the text of each result that was added. It has no value.
func evidence(req *admissionv1.AdmissionRequest, w writer, v verdict) map[string]string {
	said := map[string]string{auditTaskRun: v.taskRunUID, auditPod: w.podUID}
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

// hashText hashes the text between two quotes without decoding a mebibyte of it: only escapes are.
func hashText(sum hash.Hash, text []byte) {
	for {
		at := bytes.IndexByte(text, '\\')
		if at < 0 {
			sum.Write(text)
			return
		}
		sum.Write(text[:at])
		text = text[at:]
		written, _ := escapeSize(text)
		decoded, _ := decodeText([]byte(`"` + string(text[:written]) + `"`)) // an escape that the scanner has accepted
		sum.Write([]byte(decoded))
		text = text[written:]
	}
}
