package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strings"
)

// rule is a part of the source without which the package would do less, and how to switch it off.
type rule struct {
	// id is the value of the switch that takes it away.
	id int
	// name tells it from all others, also after lines have moved: function, kind, and text.
	name       string
	start, end int
	// before and after, put around the rule's text, make it depend on the switch.
	before, after string
}

// switchName is the variable by which the instrumented package knows which rule to leave out; 0 is
// none.
const switchName = "indelibleMutant"

// finder walks one file.
type finder struct {
	fset  *token.FileSet
	src   []byte
	next  *int
	seen  map[string]int
	rules []rule
	fn    string
}

// findRules returns the rules of a Go file. next is the last id that was given, over all files of
// the package; seen counts names.
func findRules(name string, src []byte, next *int, seen map[string]int) ([]rule, error) {
	f := &finder{fset: token.NewFileSet(), src: src, next: next, seen: seen}
	file, err := parser.ParseFile(f.fset, name, src, parser.SkipObjectResolution)
	if err != nil {
		return nil, fmt.Errorf("parse %s: %w", name, err)
	}
	for _, decl := range file.Decls {
		fn, ok := decl.(*ast.FuncDecl)
		if !ok || fn.Body == nil {
			continue
		}
		f.fn = functionName(fn)
		if strings.HasPrefix(fn.Name.Name, "check") && returnsDenial(fn) {
			f.check(fn)
		}
		ast.Inspect(fn.Body, f.visit)
	}
	return f.rules, nil
}

func functionName(fn *ast.FuncDecl) string {
	if fn.Recv == nil {
		return fn.Name.Name
	}
	receiver := fn.Recv.List[0].Type
	if star, ok := receiver.(*ast.StarExpr); ok {
		receiver = star.X
	}
	if name, ok := receiver.(*ast.Ident); ok {
		return name.Name + "." + fn.Name.Name
	}
	return fn.Name.Name
}

func returnsDenial(fn *ast.FuncDecl) bool {
	results := fn.Type.Results
	if results == nil || len(results.List) != 1 {
		return false
	}
	star, ok := results.List[0].Type.(*ast.StarExpr)
	if !ok {
		return false
	}
	name, ok := star.X.(*ast.Ident)
	return ok && name.Name == "denial"
}

func (f *finder) visit(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.IfStmt:
		f.condition("if", n.Cond)
	case *ast.SwitchStmt:
		if n.Tag == nil {
			f.cases(n)
		}
	case *ast.BlockStmt:
		f.statements(n.List)
	case *ast.CaseClause:
		f.statements(n.Body)
	case *ast.BinaryExpr:
		f.operands(n)
	}
	return true
}

// check makes a whole check allow everything.
func (f *finder) check(fn *ast.FuncDecl) {
	f.add("check", fn.Name, fn.Body.Lbrace+1, fn.Body.Lbrace+1, " if "+switchName+" == %d { return nil };", "")
}

// condition makes an if or a case never true.
func (f *finder) condition(kind string, cond ast.Expr) {
	f.add(kind, cond, cond.Pos(), cond.End(), "("+switchName+" != %d && (", "))")
}

func (f *finder) cases(s *ast.SwitchStmt) {
	for _, clause := range s.Body.List {
		for _, cond := range clause.(*ast.CaseClause).List {
			f.condition("case", cond)
		}
	}
}

// operands takes what && and || join out of them, one at a time. Of a chain it does so once, at its
// outermost operator.
func (f *finder) operands(e *ast.BinaryExpr) {
	if e.Op != token.LAND && e.Op != token.LOR {
		return
	}
	neutral := switchName + " == %d || "
	if e.Op == token.LOR {
		neutral = switchName + " != %d && "
	}
	for _, operand := range []ast.Expr{e.X, e.Y} {
		if inner, ok := operand.(*ast.BinaryExpr); ok && inner.Op == e.Op {
			continue // visited on its own
		}
		f.add("operand", operand, operand.Pos(), operand.End(), "("+neutral+"(", "))")
	}
}

// statements leaves out assignments and counting.
func (f *finder) statements(list []ast.Stmt) {
	for _, s := range list {
		switch s := s.(type) {
		case *ast.AssignStmt:
			if s.Tok == token.DEFINE {
				continue
			}
		case *ast.IncDecStmt:
		default:
			continue
		}
		f.add("statement", s, s.Pos(), s.End(), "if "+switchName+" != %d { ", " }")
	}
}

func (f *finder) add(kind string, node ast.Node, start, end token.Pos, before, after string) {
	at := func(p token.Pos) int { return f.fset.Position(p).Offset }
	text := strings.Join(strings.Fields(string(f.src[at(node.Pos()):at(node.End())])), " ")
	name := f.fn + ": " + kind + " " + text
	if f.seen[name]++; f.seen[name] > 1 {
		name = fmt.Sprintf("%s #%d", name, f.seen[name])
	}
	*f.next++
	f.rules = append(f.rules, rule{
		id: *f.next, name: name, start: at(start), end: at(end), before: fmt.Sprintf(before, *f.next), after: after,
	})
}

// instrument returns the source with all its rules made switchable. No line moves.
func instrument(src []byte, rules []rule) []byte {
	type insertion struct {
		// depth orders what stands at one place: what closes, innermost first, then what opens,
		// outermost first
		at, depth int
		text      string
	}
	var all []insertion
	for _, r := range rules {
		all = append(all, insertion{r.start, len(src) - r.end + r.start + 1, r.before},
			insertion{r.end, r.end - r.start - len(src) - 1, r.after})
	}
	slices.SortStableFunc(all, func(a, b insertion) int {
		if a.at != b.at {
			return a.at - b.at
		}
		return a.depth - b.depth
	})
	var out bytes.Buffer
	last := 0
	for _, i := range all {
		out.Write(src[last:i.at])
		out.WriteString(i.text)
		last = i.at
	}
	out.Write(src[last:])
	return out.Bytes()
}
