package index_test

import (
	"testing"

	"github.com/indelible-ci/indelible/pkg/archive/index"
	"github.com/indelible-ci/indelible/pkg/archive/index/indextest"
)

func TestPostgres(t *testing.T) {
	database := indextest.Postgres(t)
	indextest.Run(t, func(t *testing.T) func() index.Index {
		url := database(t)
		return func() index.Index { return open(t, url) }
	})
}
