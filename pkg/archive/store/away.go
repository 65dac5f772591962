package store

import (
	"errors"
	"net/http"
	"regexp"

	"gocloud.dev/gcerrors"
)

// awayText matches an answer of GCS or Azure that says that the service is away: their errors have
// the status in their text.
var awayText = regexp.MustCompile(`googleapi: Error (408|429|5\d\d)|RESPONSE (408|429|5\d\d)`)

// IsAway reports whether an object store has answered that it cannot serve anybody at the moment.
// 403 does not count: a gateway may refuse an object for its content. Errors of connections are not
// looked at.
func IsAway(err error) bool {
	if err == nil {
		return false
	}
	var answered interface{ HTTPStatusCode() int } // AWS
	if errors.As(err, &answered) {
		switch code := answered.HTTPStatusCode(); {
		case code >= http.StatusInternalServerError, code == http.StatusTooManyRequests,
			code == http.StatusRequestTimeout, code == http.StatusUnauthorized:
			return true
		}
	}
	switch gcerrors.Code(err) {
	case gcerrors.DeadlineExceeded, gcerrors.ResourceExhausted, gcerrors.Internal:
		return true
	}
	return awayText.MatchString(err.Error())
}
