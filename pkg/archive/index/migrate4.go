package index

import (
	"context"
	"database/sql"
	"fmt"
)

// addQueries makes the tables of version 3 those of 4: what is new in them is in the records. It holds one page of them in memory.
func addQueries(ctx context.Context, d dialect, tx *sql.Tx) error {
	return fmt.Errorf("not yet")
}
