package admission

import (
	"bytes"
	"encoding/json"
	"net/http"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// maxDepth is how deep a review may nest. Tekton's objects stay below 30. What decodes them recurses, and a level
// costs it some hundred bytes of stack: 60 KB nested 10,000 deep took 4 MiB.
const maxDepth = 200

// stringLength is how much of a text belongs to the string that it is in, with the quote at its end. Most
// strings are short: only in long ones does it pay to search.
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

// failUnread makes the failure policy decide about a body that must not be decoded.
func failUnread(w http.ResponseWriter, _ []byte, why string) {
	http.Error(w, why, http.StatusBadRequest)
}

// denyUnread denies, where that is what the failure policy would do: a denial says why, and is not tried again.
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

// uidOf is the UID of the request in a review whose beginning looks as API servers write it, "" otherwise. It reads
// tokens, which takes no stack.
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
