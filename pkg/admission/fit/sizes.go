package fit

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/indelible-ci/indelible/pkg/result"
)

const (
	// etcdLimit is the largest request that etcd accepts (its --max-request-bytes, by default).
	etcdLimit = 3 << 19
	// storable is the largest object that can surely be stored: a request also has a key and a
	// revision to compare.
	storable = etcdLimit - 8<<10
	// creatable is the largest run that may be created: its status is added later.
	creatable = result.DefaultObjectLimit
	// sendable is the largest object that Tekton's controller can send: the API server reads bodies
	// up to 3 MiB.
	sendable = 3<<20 - 64<<10
	// roomForWords is reserved for the message about dropped results.
	roomForWords = 8 << 10
)

// wayOut is what to do about a value that is too large.
const wayOut = "Write smaller results, or keep large content in a workspace or an artifact store and pass on its " +
	"address"

// sizes describes how large a value is, and how large as stored if that differs: JSON escapes <, >,
// & and control characters as six bytes each, and quotes, backslashes and line ends as two.
func sizes(value any) string {
	text, isText := value.(string)
	if !isText {
		return result.Size(encodedLen(value)).String()
	}
	stored := encodedLen(value) - len(`""`)
	if stored <= len(text)+len(text)/100 {
		return result.Size(len(text)).String()
	}
	return fmt.Sprintf("%s, stored as %s with JSON's escapes", result.Size(len(text)), result.Size(stored))
}

func encoded(value any) string {
	raw, err := json.Marshal(value)
	if err != nil {
		panic(fmt.Errorf("encode what was decoded: %w", err)) // cannot be
	}
	return string(raw)
}

// storedMessage returns the message of a stored run's condition Succeeded, or "".
func storedMessage(raw []byte) string {
	var run struct {
		Status struct {
			Conditions []struct {
				Type    string `json:"type"`
				Message string `json:"message"`
			} `json:"conditions"`
		} `json:"status"`
	}
	if err := json.Unmarshal(raw, &run); err != nil {
		return ""
	}
	for _, c := range run.Status.Conditions {
		if c.Type == "Succeeded" {
			return c.Message
		}
	}
	return ""
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return strconv.Itoa(n) + " times"
}
