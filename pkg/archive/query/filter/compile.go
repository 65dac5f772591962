package filter

import (
	"fmt"
	"time"

	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/overloads"
	exprpb "google.golang.org/genproto/googleapis/api/expr/v1alpha1"
)

// variables are evaluated by this package. Other identifiers are cel-go's.
var variables = map[string]bool{
	"parent": true, "uid": true, "annotations": true, "summary": true, "create_time": true, "update_time": true,
	"result_name": true, "name": true, "data_type": true, "data": true,
}

func (c *compiler) compile(expr *exprpb.Expr) (node, error) {
	if c.nodes++; c.nodes > maxNodes {
		return nil, fmt.Errorf("it has more than %d expressions", maxNodes)
	}
	if path := c.path(expr); path != nil {
		return path, nil
	}
	switch e := expr.GetExprKind().(type) {
	case *exprpb.Expr_ConstExpr:
		if value, ok := constantOf(e.ConstExpr); ok {
			return constant{value}, nil
		}
	case *exprpb.Expr_IdentExpr:
		if value, ok := constantOf(c.checked.GetReferenceMap()[expr.GetId()].GetValue()); ok {
			return constant{value}, nil
		}
	case *exprpb.Expr_CallExpr:
		n, err := c.call(e.CallExpr)
		if n != nil || err != nil {
			return n, err
		}
	}
	return c.native(expr)
}

func constantOf(c *exprpb.Constant) (any, bool) {
	switch k := c.GetConstantKind().(type) {
	case *exprpb.Constant_NullValue:
		return nil, true
	case *exprpb.Constant_BoolValue:
		return truthIf(k.BoolValue), true
	case *exprpb.Constant_Int64Value:
		return k.Int64Value, true
	case *exprpb.Constant_Uint64Value:
		return k.Uint64Value, true
	case *exprpb.Constant_DoubleValue:
		return k.DoubleValue, true
	case *exprpb.Constant_StringValue:
		return k.StringValue, true
	}
	return nil, false
}

// path returns a variable, or a field below it by constant steps, or nil.
func (c *compiler) path(expr *exprpb.Expr) node {
	var steps []Step
	for {
		switch e := expr.GetExprKind().(type) {
		case *exprpb.Expr_IdentExpr:
			if name := e.IdentExpr.GetName(); variables[name] {
				reverse(steps)
				return &field{name, steps}
			}
			return nil
		case *exprpb.Expr_SelectExpr:
			if e.SelectExpr.GetTestOnly() {
				return nil
			}
			steps = append(steps, Step{Field: e.SelectExpr.GetField()})
			expr = e.SelectExpr.GetOperand()
		case *exprpb.Expr_CallExpr:
			if e.CallExpr.GetFunction() != operators.Index {
				return nil
			}
			switch k := e.CallExpr.GetArgs()[1].GetConstExpr().GetConstantKind().(type) {
			case *exprpb.Constant_StringValue:
				steps = append(steps, Step{Field: k.StringValue})
			case *exprpb.Constant_Int64Value:
				steps = append(steps, Step{Element: int(k.Int64Value), IsIndex: true})
			default:
				return nil
			}
			expr = e.CallExpr.GetArgs()[0]
		default:
			return nil
		}
	}
}

func reverse(steps []Step) {
	for i, j := 0, len(steps)-1; i < j; i, j = i+1, j-1 {
		steps[i], steps[j] = steps[j], steps[i]
	}
}

var comparisons = map[string]func(n int) bool{
	operators.Equals:        func(n int) bool { return n == 0 },
	operators.NotEquals:     func(n int) bool { return n != 0 },
	operators.Less:          func(n int) bool { return n < 0 },
	operators.LessEquals:    func(n int) bool { return n <= 0 },
	operators.Greater:       func(n int) bool { return n > 0 },
	operators.GreaterEquals: func(n int) bool { return n >= 0 },
}

// call returns nil if cel-go has to evaluate the call.
func (c *compiler) call(call *exprpb.Expr_Call) (node, error) {
	function := call.GetFunction()
	args, err := c.arguments(call)
	if err != nil || args == nil {
		return nil, err
	}
	if holds := comparisons[function]; holds != nil {
		return c.comparison(call, holds, args), nil
	}
	switch function {
	case operators.LogicalAnd:
		return &conjunction{args[0], args[1]}, nil
	case operators.LogicalOr:
		return &disjunction{args[0], args[1]}, nil
	case operators.LogicalNot:
		return &negation{args[0]}, nil
	case operators.In:
		return &in{args[0], args[1:]}, nil
	case operators.Add:
		if c.isString(call.GetArgs()[0]) || c.isString(call.GetArgs()[1]) {
			return newConcatenation(args[0], args[1]), nil
		}
		return &arithmetic{function, args[0], args[1]}, nil
	case operators.Subtract, operators.Multiply, operators.Divide, operators.Modulo:
		return &arithmetic{function, args[0], args[1]}, nil
	case overloads.Contains, overloads.StartsWith, overloads.EndsWith:
		return &textual{texts[function], args[0], args[1]}, nil
	case overloads.Matches:
		return newMatch(args[0], args[1])
	case overloads.TypeConvertTimestamp:
		return newToTime(args[0])
	case overloads.TypeConvertDuration:
		return newToDuration(args[0])
	}
	return &part{parts[function], args[0]}, nil
}

// arguments compiles the target and the arguments of a call, including those in the list of in. It
// returns nil if this package does not evaluate the function.
func (c *compiler) arguments(call *exprpb.Expr_Call) (nodes []node, err error) {
	all := call.GetArgs()
	if call.GetTarget() != nil {
		all = append([]*exprpb.Expr{call.GetTarget()}, all...)
	}
	want, known := arity[call.GetFunction()]
	if !known || len(all) != want {
		return nil, nil
	}
	if call.GetFunction() == operators.In {
		list := all[1].GetListExpr()
		if list == nil {
			return nil, nil
		}
		all = append([]*exprpb.Expr{all[0]}, list.GetElements()...)
	}
	for _, arg := range all {
		n, err := c.compile(arg)
		if err != nil {
			return nil, err
		}
		nodes = append(nodes, n)
	}
	return nodes, nil
}

// arity is the number of arguments, with the target, of the functions that this package evaluates.
var arity = map[string]int{
	operators.LogicalAnd: 2, operators.LogicalOr: 2, operators.LogicalNot: 1, operators.In: 2,
	operators.Equals: 2, operators.NotEquals: 2, operators.Less: 2, operators.LessEquals: 2, operators.Greater: 2,
	operators.GreaterEquals: 2,
	operators.Add:           2, operators.Subtract: 2, operators.Multiply: 2, operators.Divide: 2, operators.Modulo: 2,
	overloads.Contains: 2, overloads.StartsWith: 2, overloads.EndsWith: 2, overloads.Matches: 2,
	overloads.TypeConvertTimestamp: 1, overloads.TypeConvertDuration: 1,
	overloads.TimeGetDate: 1, overloads.TimeGetDayOfMonth: 1, overloads.TimeGetDayOfWeek: 1,
	overloads.TimeGetDayOfYear: 1, overloads.TimeGetFullYear: 1,
	overloads.TimeGetMonth: 1, overloads.TimeGetHours: 1, overloads.TimeGetMinutes: 1, overloads.TimeGetSeconds: 1,
	overloads.TimeGetMilliseconds: 1,
}

var parts = map[string]func(t time.Time) int{
	overloads.TimeGetDate:         time.Time.Day,
	overloads.TimeGetDayOfMonth:   func(t time.Time) int { return t.Day() - 1 },
	overloads.TimeGetDayOfWeek:    func(t time.Time) int { return int(t.Weekday()) },
	overloads.TimeGetDayOfYear:    func(t time.Time) int { return t.YearDay() - 1 },
	overloads.TimeGetFullYear:     time.Time.Year,
	overloads.TimeGetMonth:        func(t time.Time) int { return int(t.Month()) - 1 },
	overloads.TimeGetHours:        time.Time.Hour,
	overloads.TimeGetMinutes:      time.Time.Minute,
	overloads.TimeGetSeconds:      time.Time.Second,
	overloads.TimeGetMilliseconds: func(t time.Time) int { return t.Nanosecond() / int(time.Millisecond) },
}

// comparison compiles a comparison. In SQL, a member of a map compared with a text is a condition
// about the whole map: a map without the member is not null, it does not match.
func (c *compiler) comparison(call *exprpb.Expr_Call, holds func(int) bool, args []node) node {
	n := &comparison{holds: holds, a: args[0], b: args[1]}
	if call.GetFunction() != operators.Equals {
		return n
	}
	n.equality = true
	for i, arg := range call.GetArgs() {
		index := arg.GetCallExpr()
		_, isConstant := args[1-i].(constant)
		if index.GetFunction() == operators.Index && isConstant && !c.isDyn(index.GetArgs()[0]) {
			n.absent = isFalse
		}
	}
	return n
}

func (c *compiler) isString(expr *exprpb.Expr) bool {
	return c.checked.GetTypeMap()[expr.GetId()].GetPrimitive() == exprpb.Type_STRING
}

func (c *compiler) isDyn(expr *exprpb.Expr) bool {
	_, is := c.checked.GetTypeMap()[expr.GetId()].GetTypeKind().(*exprpb.Type_Dyn)
	_, isAny := c.checked.GetTypeMap()[expr.GetId()].GetTypeKind().(*exprpb.Type_WellKnown)
	return is || isAny
}

func newConcatenation(args ...node) node {
	n := &concatenation{}
	for _, arg := range args {
		if inner, is := arg.(*concatenation); is {
			n.parts = append(n.parts, inner.parts...)
		} else {
			n.parts = append(n.parts, arg)
		}
	}
	return n
}

func newToTime(of node) (node, error) {
	c, ok := of.(constant)
	if !ok {
		return &toTime{of}, nil
	}
	switch v := c.value.(type) {
	case int64:
		return constant{time.Unix(v, 0).UTC()}, nil
	case string:
		if t, ok := parseTime(v); ok {
			return constant{t}, nil
		}
	}
	return nil, fmt.Errorf("%v is not a timestamp such as 2006-01-02T15:04:05Z", c.value)
}

func newToDuration(of node) (node, error) {
	c, ok := of.(constant)
	if !ok {
		return &toDuration{of}, nil
	}
	text, _ := c.value.(string)
	d, err := time.ParseDuration(text)
	if err != nil {
		return nil, fmt.Errorf("%v is not a duration such as 5m", c.value)
	}
	return constant{d}, nil
}
