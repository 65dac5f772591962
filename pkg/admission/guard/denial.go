package guard

import (
	"fmt"
	"net/http"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The rules, as named in the metrics' label "rule" and in the log.
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
	ruleCompleted = "frozen"
	ruleType      = "type"
	ruleSize      = "size"
	ruleOthers    = "others"
)

// denial is a rule's refusal; nil means that the rule has nothing against the write. The publisher reads the code:
// it tries again after 409 and 5xx and gives up on the rest.
type denial struct {
	rule   string
	code   int32
	reason metav1.StatusReason
	// message names the field at fault and never its value: denials end in logs and in status conditions.
	message string
}

func deny(rule string, code int32, reason metav1.StatusReason, format string, args ...any) *denial {
	return &denial{rule: rule, code: code, reason: reason, message: fmt.Sprintf(format, args...)}
}

// forbidden: this writer may not, now or later.
func forbidden(rule, format string, args ...any) *denial {
	return deny(rule, http.StatusForbidden, metav1.StatusReasonForbidden, format, args...)
}

// invalid: nobody may write this.
func invalid(rule, format string, args ...any) *denial {
	return deny(rule, http.StatusUnprocessableEntity, metav1.StatusReasonInvalid, format, args...)
}

// tooEarly: the same write may pass later.
func tooEarly(rule, format string, args ...any) *denial {
	return deny(rule, http.StatusConflict, metav1.StatusReasonConflict, format, args...)
}

// tooLarge: the write breaks a limit, which is the rule "size".
func tooLarge(format string, args ...any) *denial {
	return deny(ruleSize, http.StatusRequestEntityTooLarge, metav1.StatusReasonRequestEntityTooLarge, format, args...)
}

// firstDenial runs checks in order and returns the first refusal.
func firstDenial(checks ...func() *denial) *denial {
	for _, check := range checks {
		if d := check(); d != nil {
			return d
		}
	}
	return nil
}
