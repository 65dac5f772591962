// Package migrate moves history between Tekton Results and an archive. Import reads a Tekton
// Results, by its API or its database, and stores finished runs as commits, with their logs and
// events, and everything else as objects that tools wrote. Export writes the archive to the API of
// a Tekton Results. Both can be interrupted and repeated: what exists at the destination is left
// alone.
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

// Types of records about a run (pkg/apis/v1alpha3 of Tekton Results).
const (
	logType       = "results.tekton.dev/v1alpha3.Log"
	oldLogType    = "results.tekton.dev/v1alpha2.Log"
	eventListType = "results.tekton.dev/v1.EventList"
)

func aboutRun(dataType string) bool {
	return dataType == logType || dataType == oldLogType || dataType == eventListType
}

// Source is a Tekton Results to import from.
type Source interface {
	// Results yields all Results after a position, in a stable order. An error ends the iteration.
	Results(ctx context.Context, from string) iter.Seq2[Found, error]
	// Records yields the records of a Result: only those about runs (logs and lists of events), or
	// all others.
	Records(ctx context.Context, result *pb.Result, about bool) iter.Seq2[*pb.Record, error]
	// Log returns the content of the log that a record describes. The error is ErrNoLog if it does
	// not exist or cannot be read.
	Log(ctx context.Context, record *pb.Record) (io.ReadCloser, error)
}

// Found is a Result, and the position at which to continue if all Results before it are done.
type Found struct {
	Result   *pb.Result
	Position string
}

// ErrNoLog means that the source does not have the log.
var ErrNoLog = errors.New("there is no such log")

// nameOf parses a name of Tekton Results: PARENT/results/RESULT[/records/ID].
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

// logNameOf returns the name of the log that a record describes.
func logNameOf(record string) string { return strings.Replace(record, "/records/", "/logs/", 1) }
