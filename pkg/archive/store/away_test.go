package store

import (
	"errors"
	"fmt"
	"testing"
)

// answer is an error of the AWS SDK with the status of the response.
type answer int

func (a answer) Error() string       { return fmt.Sprintf("status %d", int(a)) }
func (a answer) HTTPStatusCode() int { return int(a) }

func TestAnswersOfAnObjectStore(t *testing.T) {
	for name, tt := range map[string]struct {
		err  error
		away bool
	}{
		"S3 answers 503":            {answer(503), true},
		"S3 wants fewer requests":   {answer(429), true},
		"S3 knows no such key":      {answer(401), true},
		"S3 forbids it":             {answer(403), false},
		"S3 has something there":    {answer(412), false},
		"GCS answers 503":           {errors.New("googleapi: Error 503: Backend Error"), true},
		"GCS forbids it":            {errors.New("googleapi: Error 403: no"), false},
		"Azure answers 500":         {errors.New("PUT https://a\nRESPONSE 500: 500 Internal"), true},
		"Azure has something there": {errors.New("PUT https://a\nRESPONSE 409: 409 Conflict"), false},
		"an object that is missing": {ErrNotExist, false},
		"no error":                  {nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := IsAway(tt.err); got != tt.away {
				t.Errorf("got %v, want %v", got, tt.away)
			}
		})
	}
}
