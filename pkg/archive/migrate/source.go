// Package migrate moves history between Tekton Results and an archive. Import reads a Tekton
// Results, by its API or its database, and stores what it has: finished runs as commits, with their
// logs and events, and everything else as objects that tools wrote. Export writes what the archive
// has to the API of a Tekton Results. Both may be killed and begun again: what is there already is
// left alone.
package migrate

import (
	"context"
	"errors"
	"io"
	"iter"
	"strings"

	pb "github.com/tektoncd/results/proto/v1alpha2/results_go_proto"

	"github.com/indelible-ci/indelible/pkg/archive/object"
)

// Types of records that are about a run (pkg/apis/v1alpha3 of Tekton Results).
const (
	logType       = "results.tekton.dev/v1alpha3.Log"
	oldLogType    = "results.tekton.dev/v1alpha2.Log"
	eventListType = "results.tekton.dev/v1.EventList"
)

func aboutRun(dataType string) bool {
	return dataType == logType || dataType == oldLogType || dataType == eventListType
}

// Source is a Tekton Results.
type Source interface {
	// Results yields all Results in an order that stays, from a position on. An error ends it.
	Results(ctx context.Context, from string) iter.Seq2[Found, error]
	// Records yields the records of a Result: only logs and lists of events, which are about
	// others, or all but these.
	Records(ctx context.Context, result *pb.Result, about bool) iter.Seq2[*pb.Record, error]
	// Log returns the content of a log, by its record. The error is ErrNoLog if there is none, or
	// it cannot be had.
	Log(ctx context.Context, record *pb.Record) (io.ReadCloser, error)
}

// Found is a Result, and where to go on if all before it is done.
type Found struct {
	Result   *pb.Result
	Position string
}

// ErrNoLog is the error of a log that a source does not have.
var ErrNoLog = errors.New("there is no such log")

// nameOf splits a name of Tekton Results: PARENT/results/RESULT[/records/ID].
func nameOf(text string) (object.Name, error) {
	s := strings.Split(text, "/")
	n := object.Name{Kind: object.Result}
	if len(s) != 3 && len(s) != 5 || s[1] != "results" {
		return n, errors.New("not a name of a Result or record")
	}
	n.Parent, n.Result = s[0], s[2]
	if len(s) == 5 {
		n.Kind, n.ID = object.Record, s[4]
	}
	return n, n.Check()
}

// logNameOf is a log's name, by that of its record.
func logNameOf(record string) string { return strings.Replace(record, "/records/", "/logs/", 1) }
