package filter

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	exprpb "google.golang.org/genproto/googleapis/api/expr/v1alpha1"
	"google.golang.org/protobuf/proto"
)

// native is a part of a filter that cel-go evaluates. An error, such as that a field is not there, is null.
type native struct {
	program   cel.Program
	variables []string
}

func (c *compiler) native(expr *exprpb.Expr) (node, error) {
	part, ok := proto.Clone(c.checked).(*exprpb.CheckedExpr)
	if !ok {
		return nil, fmt.Errorf("cannot copy the expression")
	}
	part.Expr = expr
	program, err := c.env.Program(cel.CheckedExprToAst(part), cel.CostLimit(maxCost), cel.EvalOptions(cel.OptOptimize))
	if err != nil {
		return nil, err
	}
	used := map[string]bool{}
	c.use(expr, used)
	return &native{program, slices.Sorted(maps.Keys(used))}, nil
}

// use notes the variables in an expression.
func (c *compiler) use(expr *exprpb.Expr, used map[string]bool) {
	switch e := expr.GetExprKind().(type) {
	case *exprpb.Expr_IdentExpr:
		if variables[e.IdentExpr.GetName()] { // one that a macro binds by such a name is the same to be sure
			used[e.IdentExpr.GetName()] = true
		}
	case *exprpb.Expr_SelectExpr:
		c.use(e.SelectExpr.GetOperand(), used)
	case *exprpb.Expr_CallExpr:
		c.use(e.CallExpr.GetTarget(), used)
		for _, arg := range e.CallExpr.GetArgs() {
			c.use(arg, used)
		}
	case *exprpb.Expr_ListExpr:
		for _, element := range e.ListExpr.GetElements() {
			c.use(element, used)
		}
	case *exprpb.Expr_StructExpr:
		for _, entry := range e.StructExpr.GetEntries() {
			c.use(entry.GetMapKey(), used)
			c.use(entry.GetValue(), used)
		}
	case *exprpb.Expr_ComprehensionExpr:
		x := e.ComprehensionExpr
		for _, part := range []*exprpb.Expr{x.GetIterRange(), x.GetAccuInit(), x.GetLoopCondition(), x.GetLoopStep(), x.GetResult()} {
			c.use(part, used)
		}
	}
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
	out, _, err := n.program.Eval(values)
	if err != nil {
		if e.err == nil && strings.Contains(err.Error(), "cost limit exceeded") { // cel-go has no error value for it
			e.err = ErrCost
		}
		return nil
	}
	return fromCEL(out)
}

// fromCEL converts what an expression has for a value; what has no type here is null.
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
