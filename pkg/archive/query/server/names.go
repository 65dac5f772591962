package server

import (
	"regexp"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// wildcard stands for every parent or every Result in lists (https://google.aip.dev/159).
const wildcard = "-"

const segment = `([a-z0-9_-]{1,63})`

// Names, as in Tekton Results.
var (
	parentPattern = regexp.MustCompile(`^` + segment + `$`)
	resultPattern = regexp.MustCompile(`^` + segment + `/results/` + segment + `$`)
	recordPattern = regexp.MustCompile(`^` + segment + `/results/` + segment + `/records/` + segment + `$`)
	logPattern    = regexp.MustCompile(`^` + segment + `/results/` + segment + `/logs/` + segment + `$`)
)

// name is the name of a Result, Record or Log.
type name struct{ parent, result, id string }

func (n name) resultName() string { return n.parent + "/results/" + n.result }

// parse parses a name. Its error does not repeat the text.
func parse(pattern *regexp.Regexp, text string) (name, error) {
	match := pattern.FindStringSubmatch(text)
	if match == nil {
		return name{}, status.Errorf(codes.InvalidArgument, "name must match %s", pattern)
	}
	n := name{parent: match[1]}
	if len(match) > 2 {
		n.result = match[2]
	}
	if len(match) > 3 {
		n.id = match[3]
	}
	return n, nil
}

// parseNew parses the name of something to write, which has no wildcards.
func parseNew(pattern *regexp.Regexp, text string) (name, error) {
	n, err := parse(pattern, text)
	if err == nil && (n.parent == wildcard || n.result == wildcard || n.id == wildcard) {
		err = status.Error(codes.InvalidArgument, "a name cannot have - for a parent, Result or Record")
	}
	return n, err
}
