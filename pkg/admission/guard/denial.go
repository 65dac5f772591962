package guard

import (
	"fmt"
	"net/http"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The rules, as named in the metrics' label "rule", the audit log and the log.
const (
	ruleScope     = "scope"
	ruleOptedIn   = "opted-in"
	ruleRequest   = "request"
	ruleIdentity  = "identity"
	rulePublisher = "publisher"
	ruleFields    = "fields"
	ruleDeclared  = "declared"
	ruleOnce      = "once"
	ruleClosed    = "closed"
	ruleCompleted = "frozen" // the name it has had from the start in metrics and audit logs
	ruleType      = "type"
	ruleSize      = "size"
	ruleOthers    = "others"
)

// denial is a rule's refusal; nil means that the rule allows the write. The publisher decides by
// the code: it retries 401, 409, 429 and 5xx and gives up on others.
type denial struct {
	rule   string
	code   int32
	reason metav1.StatusReason
	// message names the field at fault and never its value: denials end in logs and in status
	// conditions.
	message string
}

func deny(rule string, code int32, reason metav1.StatusReason, format string, args ...any) *denial {
	return &denial{rule: rule, code: code, reason: reason, message: fmt.Sprintf(format, args...)}
}

// forbidden: this requester may not write, now or later.
func forbidden(rule, format string, args ...any) *denial {
	return deny(rule, http.StatusForbidden, metav1.StatusReasonForbidden, format, args...)
}

// invalid: nobody may write this.
func invalid(rule, format string, args ...any) *denial {
	return deny(rule, http.StatusUnprocessableEntity, metav1.StatusReasonInvalid, format, args...)
}

// tooEarly: the same write may be allowed later.
func tooEarly(rule, format string, args ...any) *denial {
	return deny(rule, http.StatusConflict, metav1.StatusReasonConflict, format, args...)
}

// tooLarge: the write exceeds a limit (rule "size").
func tooLarge(format string, args ...any) *denial {
	return deny(ruleSize, http.StatusRequestEntityTooLarge, metav1.StatusReasonRequestEntityTooLarge, format, args...)
}

// firstDenial runs checks in order and returns the first denial.
func firstDenial(checks ...func() *denial) *denial {
	for _, check := range checks {
		if d := check(); d != nil {
			return d
		}
	}
	return nil
}
