package mapping

import (
	"errors"
	"fmt"
	"regexp"
	"slices"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/builtin"

	"github.com/pgcio/pgcio/cdc"
)

// rewriter puts pgcio's operators in the place of expr's, so that null behaves
// as in SQL: what has an operand that is null is null; `and`, `or` and `not`
// are three-valued; == nil, != nil and ?? stay what they say; and where only
// true and false will do (a ternary, a predicate), null is false.
type rewriter struct {
	table     *cdc.Table
	columns   []string
	functions map[string]func(...any) (any, error)
	variables int
	err       *exprError
}

// call makes a call of one of pgcio's functions.
func (r *rewriter) call(name string, f func(...any) (any, error), args ...ast.Node) ast.Node {
	r.functions[name] = f
	return &ast.CallNode{Callee: &ast.IdentifierNode{Value: name}, Arguments: args}
}

// let makes `let v = value; body(v)`.
func (r *rewriter) let(value ast.Node, body func(v ast.Node) ast.Node) ast.Node {
	r.variables++
	name := fmt.Sprintf("$%d", r.variables)
	return &ast.VariableDeclaratorNode{Name: name, Value: value, Expr: body(&ast.IdentifierNode{Value: name})}
}

// unlessNull makes `value == nil ? nil : body(value)`.
func (r *rewriter) unlessNull(value ast.Node, body func(v ast.Node) ast.Node) ast.Node {
	return r.let(value, func(v ast.Node) ast.Node {
		return &ast.ConditionalNode{Ternary: true, Cond: r.call("$null", isNull, v), Exp1: &ast.NilNode{}, Exp2: body(v)}
	})
}

func isNull(args ...any) (any, error)  { return args[0] == nil, nil }
func notNull(args ...any) (any, error) { return args[0] != nil, nil }
func isFalse(args ...any) (any, error) { return args[0] == false, nil }
func isTrue(args ...any) (any, error)  { return args[0] == true, nil }

func plainOf(args ...any) (any, error) { return plain(args[0]), nil }

// rewrite returns the node's replacement, at the node's place.
func (r *rewriter) rewrite(node ast.Node) ast.Node {
	if node == nil {
		return nil
	}
	at := node.Location()
	out := r.node(node)
	out.SetLocation(at)
	return out
}

func (r *rewriter) all(nodes []ast.Node) {
	for i := range nodes {
		nodes[i] = r.rewrite(nodes[i])
	}
}

func (r *rewriter) node(node ast.Node) ast.Node {
	switch n := node.(type) {
	case *ast.IdentifierNode:
		if r.table.Index(n.Value) >= 0 && !slices.Contains(r.columns, n.Value) {
			r.columns = append(r.columns, n.Value)
		}
	case *ast.UnaryNode:
		operand := r.rewrite(n.Node)
		switch n.Operator {
		case "!", "not":
			return r.call("$not", not, operand)
		case "-":
			if i, ok := operand.(*ast.IntegerNode); ok {
				return &ast.IntegerNode{Value: -i.Value}
			}
			return r.call("$negate", negate, operand)
		}
		return r.call("$plus", plus, operand)
	case *ast.BinaryNode:
		return r.binary(n)
	case *ast.ChainNode:
		return r.rewrite(n.Node)
	case *ast.MemberNode:
		return r.call("$member", member, r.rewrite(n.Node), r.rewrite(n.Property))
	case *ast.SliceNode:
		args := []ast.Node{r.rewrite(n.Node), &ast.IntegerNode{Value: 0}}
		if n.From != nil {
			args[1] = r.rewrite(n.From)
		}
		if n.To != nil {
			args = append(args, r.rewrite(n.To))
		}
		return r.call("$slice", slice, args...)
	case *ast.CallNode:
		return r.callNode(n)
	case *ast.BuiltinNode:
		return r.builtin(n)
	case *ast.PredicateNode:
		n.Node = r.rewrite(n.Node)
	case *ast.ConditionalNode:
		n.Cond = r.call("$holds", holds, r.rewrite(n.Cond))
		n.Exp1, n.Exp2 = r.rewrite(n.Exp1), r.rewrite(n.Exp2)
	case *ast.VariableDeclaratorNode:
		n.Value, n.Expr = r.rewrite(n.Value), r.rewrite(n.Expr)
	case *ast.SequenceNode:
		r.all(n.Nodes)
	case *ast.ArrayNode:
		r.all(n.Nodes)
	case *ast.MapNode:
		r.all(n.Pairs)
	case *ast.PairNode:
		n.Key, n.Value = r.rewrite(n.Key), r.rewrite(n.Value)
	}
	return node
}

func isNil(n ast.Node) bool {
	_, is := n.(*ast.NilNode)
	return is
}

func (r *rewriter) binary(n *ast.BinaryNode) ast.Node {
	left, right := r.rewrite(n.Left), r.rewrite(n.Right)
	switch n.Operator {
	case "??":
		n.Left, n.Right = left, right
		return n
	case "==", "!=":
		test := isNull
		name := "$null"
		if n.Operator == "!=" {
			test, name = notNull, "$present"
		}
		if isNil(right) {
			return r.call(name, test, left)
		}
		if isNil(left) {
			return r.call(name, test, right)
		}
	case "and", "&&":
		return r.let(left, func(v ast.Node) ast.Node {
			return &ast.ConditionalNode{Ternary: true, Cond: r.call("$false", isFalse, v), Exp1: &ast.BoolNode{Value: false}, Exp2: r.call("$and", and, v, right)}
		})
	case "or", "||":
		return r.let(left, func(v ast.Node) ast.Node {
			return &ast.ConditionalNode{Ternary: true, Cond: r.call("$true", isTrue, v), Exp1: &ast.BoolNode{Value: true}, Exp2: r.call("$or", or, v, right)}
		})
	case "in":
		return r.call("$in", isIn, left, right)
	case "matches":
		return r.matches(left, right)
	}
	f := operators[n.Operator]
	if f == nil {
		r.err = &exprError{message: fmt.Sprintf("the operator %s is not available", n.Operator)}
		return n
	}
	return r.call("$"+n.Operator, lifted(f), left, right)
}

// matches compiles a pattern that is written out once.
func (r *rewriter) matches(left, right ast.Node) ast.Node {
	if s, ok := right.(*ast.StringNode); ok {
		pattern, err := regexp.Compile(s.Value)
		if err != nil {
			r.err = &exprError{message: err.Error()}
			return right
		}
		r.variables++
		return r.call(fmt.Sprintf("$matches%d", r.variables), lifted(func(a, _ any) (any, error) {
			text, ok := a.(string)
			if !ok {
				return nil, mismatch("matches", a, "")
			}
			return pattern.MatchString(text), nil
		}), left, right)
	}
	return r.call("$matches", lifted(func(a, b any) (any, error) {
		text, ok := a.(string)
		pattern, ok2 := b.(string)
		if !ok || !ok2 {
			return nil, mismatch("matches", a, b)
		}
		re, err := regexp.Compile(pattern)
		if err != nil {
			return nil, errPattern
		}
		return re.MatchString(text), nil
	}), left, right)
}

var errPattern = errors.New("matches does not take such a pattern")

// callNode rewrites the call of a method; functions are builtins.
func (r *rewriter) callNode(n *ast.CallNode) ast.Node {
	r.all(n.Arguments)
	m, ok := n.Callee.(*ast.MemberNode)
	if !ok {
		r.err = &exprError{message: fmt.Sprintf("%s cannot be called", n.Callee)}
		return n
	}
	name, ok := m.Property.(*ast.StringNode)
	if !ok || !slices.Contains(timeMethods, name.Value) {
		r.err = &exprError{message: fmt.Sprintf("%s cannot be called", n.Callee)}
		return n
	}
	args := append([]ast.Node{r.rewrite(m.Node), name}, n.Arguments...)
	return r.call("$method", method, args...)
}

// builtin rewrites a call of one of expr's functions. Those with a predicate
// are the virtual machine's own: their list may be null, and their predicate
// must not.
func (r *rewriter) builtin(n *ast.BuiltinNode) ast.Node {
	r.all(n.Arguments)
	switch n.Name {
	case "all", "none", "any", "one", "filter", "find", "findIndex", "findLast", "findLastIndex":
		return r.overList(n, "$holds", holds)
	case "count":
		if len(n.Arguments) == 1 {
			n.Arguments = append(n.Arguments, &ast.PredicateNode{Node: &ast.PointerNode{}})
		}
		return r.overList(n, "$holds", holds)
	case "map", "reduce":
		return r.overList(n, "", nil)
	case "groupBy", "sortBy":
		return r.overList(n, "$plain", plainOf)
	case "sum":
		list := n.Arguments[0]
		if len(n.Arguments) == 2 {
			list = r.overList(&ast.BuiltinNode{Name: "map", Arguments: n.Arguments}, "", nil)
		}
		return r.call("$sum", sum, list)
	}
	i, known := builtin.Index[n.Name]
	if !known {
		r.err = &exprError{message: fmt.Sprintf("there is no function %s", n.Name)}
		return n
	}
	return r.call("$"+n.Name+"()", function(builtin.Builtins[i]), n.Arguments...)
}

// overList guards a function with a predicate against a null list, and its
// predicate by a function of its result.
func (r *rewriter) overList(n *ast.BuiltinNode, name string, guard func(...any) (any, error)) ast.Node {
	if p, ok := n.Arguments[1].(*ast.PredicateNode); ok && guard != nil {
		p.Node = r.call(name, guard, p.Node)
	}
	return r.unlessNull(n.Arguments[0], func(v ast.Node) ast.Node {
		n.Arguments[0] = v
		return n
	})
}
