// Package filter evaluates Tekton Results' filters: CEL, with null as in SQL.
//
// Tekton Results translates a filter to a condition in Postgres. So a missing field is null, a
// comparison with null is neither true nor false, and only what is true is listed. A Filter
// therefore has three truth values. If only a part of a record is known, the result is the set of
// possible truth values, so an index can skip what cannot match. Both use the same code, so that
// they agree. What does not depend on null, such as macros, is evaluated by cel-go.
package filter

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/types"
	pb "github.com/tektoncd/results/proto/v1alpha2/results_go_proto"
	exprpb "google.golang.org/genproto/googleapis/api/expr/v1alpha1"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Kind says what a filter is about.
type Kind int

// Kinds of filters, with different variables.
const (
	// Records has parent, result_name, name, data_type and data, and, beyond Tekton Results,
	// create_time and update_time.
	Records Kind = iota
	// Results has parent, uid, annotations, summary, create_time and update_time.
	Results
)

// Bounds of a filter.
const (
	maxLength  = 16 << 10  // length of a filter in bytes
	maxNodes   = 2000      // expressions
	maxNesting = 20        // nesting of lists, maps and macros: type checking takes its cube
	maxNatives = 20        // parts that cel-go evaluates
	maxCost    = 1_000_000 // cel-go's cost of one record, in its units
	// maxElements bounds a list or map in a macro: cel-go's work grows with its square.
	maxElements = 5000
	// maxText bounds the result of + and the text of matches, in bytes.
	maxText = 1 << 20
)

// ErrInvalid is the error of an invalid filter.
var ErrInvalid = errors.New("invalid filter")

// ErrCost is the error of a filter that would take too long on one record.
var ErrCost = errors.New("the filter takes too long")

// Filter is a parsed filter. The zero value matches everything.
type Filter struct {
	root node
}

var environments = map[Kind]func() (*cel.Env, error){
	Records: sync.OnceValues(func() (*cel.Env, error) {
		return cel.NewEnv(append(common(),
			cel.Variable("result_name", cel.StringType), cel.Variable("name", cel.StringType),
			cel.Variable("data_type", cel.StringType), cel.Variable("data", cel.AnyType))...)
	}),
	Results: sync.OnceValues(func() (*cel.Env, error) {
		options := append(common(),
			cel.Types(&pb.RecordSummary{}, &timestamppb.Timestamp{}),
			cel.Variable("uid", cel.StringType), cel.Variable("annotations",
				cel.MapType(cel.StringType, cel.StringType)),
			cel.Variable("summary", cel.ObjectType("tekton.results.v1alpha2.RecordSummary")))
		for name, status := range pb.RecordSummary_Status_value {
			options = append(options, cel.Constant(name, cel.IntType, types.Int(status)))
		}
		return cel.NewEnv(options...)
	}),
}

func common() []cel.EnvOption {
	return []cel.EnvOption{
		cel.Constant("PIPELINE_RUN", cel.StringType, types.String("tekton.dev/v1.PipelineRun")),
		cel.Constant("TASK_RUN", cel.StringType, types.String("tekton.dev/v1.TaskRun")),
		cel.Variable("parent", cel.StringType),
		cel.Variable("create_time", cel.TimestampType), cel.Variable("update_time", cel.TimestampType),
		cel.CrossTypeNumericComparisons(true),
	}
}

// Parse parses a filter. Errors are ErrInvalid, and quote the filter.
func Parse(kind Kind, text string) (*Filter, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return &Filter{}, nil
	}
	if len(text) > maxLength {
		return nil, fmt.Errorf("%w: %d bytes, more than %d", ErrInvalid, len(text), maxLength)
	}
	env, err := environments[kind]()
	if err != nil {
		return nil, err
	}
	parsed, issues := env.Parse(text)
	if issues.Err() != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, issues.Err())
	}
	if n := nesting(ast.NavigateAST(parsed.NativeRep())); n > maxNesting {
		return nil, fmt.Errorf("%w: %d lists, maps and macros within each other, and at most %d are allowed: "+
			"nest fewer", ErrInvalid, n, maxNesting)
	}
	checked, issues := env.Check(parsed)
	if issues.Err() != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, issues.Err())
	}
	if output := checked.OutputType(); !output.IsAssignableType(cel.BoolType) {
		return nil, fmt.Errorf("%w: expected boolean expression, but got %s", ErrInvalid, output)
	}
	expr, err := cel.AstToCheckedExpr(checked)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	c := compiler{env: env, checked: expr}
	root, err := c.compile(expr.GetExpr())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return &Filter{root: root}, nil
}

// nesting returns how deep lists, maps and macros are nested.
func nesting(expr ast.NavigableExpr) int {
	n := 0
	for _, child := range expr.Children() {
		n = max(n, nesting(child))
	}
	switch expr.Kind() {
	case ast.ListKind, ast.MapKind, ast.ComprehensionKind:
		n++
	}
	return n
}

// Env has the values of a filter's variables.
type Env interface {
	// Value returns the value of a variable, or of a field below it: nil for null and what does not
	// exist, Unknown, a Dyn for fields of data, or a string, bool, int64, float64, time.Time or
	// map[string]string.
	Value(variable string, path []Step) any
	// Native returns the value of a variable for cel-go, or Unknown.
	Native(variable string) any
}

// Step is one step of a path: a field's name or an element's number.
type Step struct {
	Field string
	// Element counts from 0; Field is empty then.
	Element int
	IsIndex bool
}

// Unknown is an unknown value.
var Unknown = unknown{}

type unknown struct{}

// All says whether the filter matches everything.
func (f *Filter) All() bool { return f.root == nil }

// May says whether a record with the known values can match. Errors are ErrCost, or the context's.
func (f *Filter) May(ctx context.Context, env Env) (bool, error) {
	t, err := f.truth(ctx, env)
	return t&isTrue != 0, err
}

// Must says whether every record with the known values matches. Errors are those of May.
func (f *Filter) Must(ctx context.Context, env Env) (bool, error) {
	t, err := f.truth(ctx, env)
	return t == isTrue, err
}

func (f *Filter) truth(ctx context.Context, env Env) (truth, error) {
	if f.root == nil {
		return isTrue, nil
	}
	e := evaluation{ctx: ctx, env: env}
	t := truthOf(e.value(f.root))
	return t, e.err
}

// truth is the set of possible truth values.
type truth uint8

const (
	isTrue truth = 1 << iota
	isFalse
	isNull
	anything = isTrue | isFalse | isNull
)

// evaluation is the evaluation of a filter on one record.
type evaluation struct {
	ctx context.Context
	env Env
	err error
}

// value evaluates a node, unless the evaluation has failed or its context ended.
func (e *evaluation) value(n node) any {
	if e.err == nil {
		e.err = e.ctx.Err()
	}
	if e.err != nil {
		return Unknown
	}
	return n.eval(e)
}

// fail ends an evaluation. Only the first error is kept.
func (e *evaluation) fail(err error) any {
	if e.err == nil {
		e.err = err
	}
	return Unknown
}

// truthOf is the truth value of a value.
func truthOf(value any) truth {
	switch v := value.(type) {
	case truth:
		return v
	case unknown:
		return anything
	case bool:
		return truthIf(v)
	case Dyn:
		if v.Kind == Bool || v.Kind == String {
			switch v.Text {
			case "true":
				return isTrue
			case "false":
				return isFalse
			}
		}
	}
	return isNull
}

func truthIf(yes bool) truth {
	if yes {
		return isTrue
	}
	return isFalse
}

// and is SQL's: false wins over null, and null over true.
func (t truth) and(u truth) (both truth) {
	both = (t | u) & isFalse
	if t&isTrue != 0 && u&isTrue != 0 {
		both |= isTrue
	}
	if t&isNull != 0 && u&(isNull|isTrue) != 0 || u&isNull != 0 && t&(isNull|isTrue) != 0 {
		both |= isNull
	}
	return both
}

func (t truth) not() truth {
	n := t & isNull
	if t&isTrue != 0 {
		n |= isFalse
	}
	if t&isFalse != 0 {
		n |= isTrue
	}
	return n
}

func (t truth) or(u truth) truth { return t.not().and(u.not()).not() }

// node is a part of a filter.
type node interface {
	eval(e *evaluation) any
}

// compiler turns a checked expression into nodes.
type compiler struct {
	env     *cel.Env
	checked *exprpb.CheckedExpr
	nodes   int
	natives int
}
