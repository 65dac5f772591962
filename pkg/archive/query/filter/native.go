package filter

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/overloads"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	exprpb "google.golang.org/genproto/googleapis/api/expr/v1alpha1"
)

// native is a part of a filter that cel-go evaluates. An error, such as a missing field, is null.
type native struct {
	program   cel.Program
	variables []string
	ranges    []*field // what macros iterate over, if it is a path
}

func (c *compiler) native(expr *exprpb.Expr) (node, error) {
	if c.natives++; c.natives > maxNatives {
		return nil, fmt.Errorf("it has more than %d parts such as macros, has() and size(): "+
			"put several conditions into one macro, or list with a shorter filter", maxNatives)
	}
	u := use{
		compiler: c, variables: map[string]bool{},
		part: &exprpb.CheckedExpr{
			Expr: expr, ReferenceMap: map[int64]*exprpb.Reference{}, TypeMap: map[int64]*exprpb.Type{},
		},
	}
	if err := u.walk(expr); err != nil {
		return nil, err
	}
	program, err := c.env.Program(cel.CheckedExprToAst(u.part), cel.CostLimit(maxCost),
		cel.InterruptCheckFrequency(interruptEvery), cel.EvalOptions(cel.OptOptimize))
	if err != nil {
		return nil, err
	}
	return &native{program, slices.Sorted(maps.Keys(u.variables)), u.ranges}, nil
}

// interruptEvery is after how many iterations of a macro cel-go checks the context.
const interruptEvery = 100

// use collects what an expression uses.
type use struct {
	*compiler
	part      *exprpb.CheckedExpr // types and references of this expression only
	variables map[string]bool
	ranges    []*field
}

func (u *use) walk(expr *exprpb.Expr) error {
	id := expr.GetId()
	if t := u.checked.GetTypeMap()[id]; t != nil {
		u.part.TypeMap[id] = t
	}
	if r := u.checked.GetReferenceMap()[id]; r != nil {
		u.part.ReferenceMap[id] = r
	}
	switch e := expr.GetExprKind().(type) {
	case *exprpb.Expr_IdentExpr:
		if variables[e.IdentExpr.GetName()] { // a macro's own variable of that name counts too, which is harmless
			u.variables[e.IdentExpr.GetName()] = true
		}
	case *exprpb.Expr_SelectExpr:
		return u.walkAll(e.SelectExpr.GetOperand())
	case *exprpb.Expr_CallExpr:
		if err := u.call(e.CallExpr); err != nil {
			return err
		}
		return u.walkAll(append([]*exprpb.Expr{e.CallExpr.GetTarget()}, e.CallExpr.GetArgs()...)...)
	case *exprpb.Expr_ListExpr:
		return u.walkAll(e.ListExpr.GetElements()...)
	case *exprpb.Expr_StructExpr:
		for _, entry := range e.StructExpr.GetEntries() {
			if err := u.walkAll(entry.GetMapKey(), entry.GetValue()); err != nil {
				return err
			}
		}
	case *exprpb.Expr_ComprehensionExpr:
		x := e.ComprehensionExpr
		if over, is := u.path(x.GetIterRange()).(*field); is {
			u.ranges = append(u.ranges, over)
		}
		return u.walkAll(x.GetIterRange(), x.GetAccuInit(), x.GetLoopCondition(), x.GetLoopStep(), x.GetResult())
	}
	return nil
}

// walkAll skips nil.
func (u *use) walkAll(all ...*exprpb.Expr) error {
	for _, expr := range all {
		if expr == nil {
			continue
		}
		if err := u.walk(expr); err != nil {
			return err
		}
	}
	return nil
}

// call rejects patterns that are not constant: cel-go would compile any.
func (u *use) call(call *exprpb.Expr_Call) error {
	if call.GetFunction() != overloads.Matches || len(call.GetArgs()) == 0 {
		return nil
	}
	pattern, ok := constantOf(call.GetArgs()[len(call.GetArgs())-1].GetConstExpr())
	text, is := pattern.(string)
	if !ok || !is {
		return errors.New("within macros and conditions the pattern of matches must be a constant text: write it out")
	}
	return checkPattern(text, maxPattern)
}

// length returns the number of elements below a value, 0 if it is no list or map.
func length(value any, path []Step) int {
	for _, step := range path {
		switch v := value.(type) {
		case map[string]any:
			value = v[step.Field]
		case []any:
			if !step.IsIndex || step.Element < 0 || step.Element >= len(v) {
				return 0
			}
			value = v[step.Element]
		default:
			return 0
		}
	}
	switch v := value.(type) {
	case map[string]any:
		return len(v)
	case map[string]string:
		return len(v)
	case []any:
		return len(v)
	}
	return 0
}

func (n *native) eval(e *evaluation) any {
	values := make(map[string]any, len(n.variables))
	for _, name := range n.variables {
		value := e.env.Native(name)
		if value == Unknown {
			return Unknown
		}
		values[name] = value
	}
	for _, r := range n.ranges {
		if count := length(values[r.variable], r.path); count > maxElements {
			return e.fail(fmt.Errorf("%w: a macro goes through %d elements of %s, and at most %d are allowed: "+
				"filter by other fields", ErrCost, count, r.variable, maxElements))
		}
	}
	out, _, err := n.program.ContextEval(e.ctx, values)
	if err != nil {
		if ended := e.ctx.Err(); ended != nil {
			return e.fail(ended)
		}
		if strings.Contains(err.Error(), "cost limit exceeded") { // cel-go has no error value for this
			return e.fail(fmt.Errorf("%w: a macro costs more than %d on one record: "+
				"nest fewer macros, or filter by other fields", ErrCost, maxCost))
		}
		return nil
	}
	return fromCEL(out)
}

// fromCEL converts the value of an expression. A value of another type is null.
func fromCEL(value ref.Val) any {
	switch v := value.(type) {
	case types.Bool:
		return truthIf(bool(v))
	case types.Int:
		return int64(v)
	case types.Uint:
		return uint64(v)
	case types.Double:
		return float64(v)
	case types.String:
		return string(v)
	case types.Timestamp:
		return v.Time
	case types.Duration:
		return v.Duration
	}
	if t, is := value.Value().(time.Time); is {
		return t
	}
	return nil
}
