package index

import (
	"errors"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

// The codes are of PostgreSQL's documentation, appendix A.
func TestAnswersOfADatabase(t *testing.T) {
	for name, tt := range map[string]struct {
		err            error
		away, refusing bool
	}{
		"no space is left":                      {&pgconn.PgError{Code: "53100"}, true, false},
		"too many connections":                  {&pgconn.PgError{Code: "53300"}, true, false},
		"it shuts down":                         {&pgconn.PgError{Code: "57P01"}, true, false},
		"it is a standby":                       {&pgconn.PgError{Code: "25006"}, true, false},
		"the password is wrong":                 {&pgconn.PgError{Code: "28P01"}, true, false},
		"the row is too long for its index":     {&pgconn.PgError{Code: "54000"}, false, true},
		"the text is not of the encoding":       {&pgconn.PgError{Code: "22021"}, false, true},
		"a row twice in one statement":          {&pgconn.PgError{Code: "21000"}, false, true},
		"a key is there already":                {&pgconn.PgError{Code: "23505"}, false, true},
		"the statement was canceled":            {&pgconn.PgError{Code: "57014"}, false, false},
		"the statement is wrong":                {&pgconn.PgError{Code: "42601"}, false, false},
		"a code that is none":                   {&pgconn.PgError{Code: "5"}, false, false},
		"an error that is not the database's":   {errors.New("no"), false, false},
		"an answer that somebody has commented": {fmt.Errorf("put: %w", &pgconn.PgError{Code: "53100"}), true, false},
	} {
		t.Run(name, func(t *testing.T) {
			if away, refusing := IsAway(tt.err), postgresRefuses(tt.err); away != tt.away || refusing != tt.refusing {
				t.Errorf("away %v, refusing %v; want %v, %v", away, refusing, tt.away, tt.refusing)
			}
		})
	}
}
