package admission

import (
	"bytes"
	"encoding/json"
	"net/http"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// maxDepth is how deeply a review may nest. Tekton's objects stay below 30. Decoding is recursive,
// with some hundred bytes of stack per level: 60 KB nested 10,000 deep took 4 MiB.
const maxDepth = 200

// stringLength returns the length of the string at the beginning of text, including its closing
// quote. Most strings are short; a search only pays off for long ones.
func stringLength(text []byte) int {
	const short = 32
	for at := 0; at < len(text); at++ {
		switch c := text[at]; {
		case c == '"':
			return at + 1
		case c == '\\':
			at++
		case at >= short:
			n := bytes.IndexByte(text[at:], '"')
			if n < 0 {
				return len(text)
			}
			before := text[at : at+n]
			at += n
			if (len(before)-len(bytes.TrimRight(before, `\`)))%2 == 0 {
				return at + 1
			}
		}
	}
	return len(text)
}

const tooDeepMessage = "the request is nested more than 200 deep"

// failUnread leaves the decision about a body that must not be decoded to the failure policy.
func failUnread(w http.ResponseWriter, _ []byte, why string) {
	http.Error(w, why, http.StatusBadRequest)
}

// denyUnread denies such a body where the failure policy is Fail: unlike a failed call, a denial
// says why and is not retried.
func denyUnread(w http.ResponseWriter, body []byte, why string) {
	uid := uidOf(body)
	if uid == "" {
		failUnread(w, body, why)
		return
	}
	answer, err := json.Marshal(admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: admissionv1.SchemeGroupVersion.String(), Kind: "AdmissionReview"},
		Response: &admissionv1.AdmissionResponse{UID: types.UID(uid), Result: &metav1.Status{
			Status: metav1.StatusFailure, Code: http.StatusUnprocessableEntity,
			Reason: metav1.StatusReasonInvalid, Message: why,
		}},
	})
	if err != nil {
		failUnread(w, body, why)
		return
	}
	_, _ = w.Write(answer)
}

// uidOf returns the UID of the request in a review whose beginning looks as API servers write it,
// otherwise "". It reads tokens, which needs no stack.
func uidOf(review []byte) string {
	tokens := json.NewDecoder(bytes.NewReader(review))
	inRequest := false
	for range 10 { // kind, apiVersion, request, uid
		token, err := tokens.Token()
		if err != nil {
			return ""
		}
		name, _ := token.(string)
		inRequest = inRequest || name == "request"
		if inRequest && name == "uid" {
			value, _ := tokens.Token()
			uid, _ := value.(string)
			return uid
		}
	}
	return ""
}
