package mapping

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/builtin"
	"github.com/expr-lang/expr/checker"
	"github.com/expr-lang/expr/compiler"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/types"
	"github.com/expr-lang/expr/vm"

	"github.com/pgcio/pgcio/cdc"
	"github.com/pgcio/pgcio/internal/strict"
)

// program is a compiled expression. It is written in expr-lang's language and
// type-checked as that would be; then every operator and call is replaced by
// one that knows null as SQL does (rewrite.go).
type program struct {
	vm      *vm.Program
	columns []string // those it reads, in the order it names them
	text    string
}

// exprError is what is wrong with an expression.
type exprError struct{ message, advice string }

// compileExpr compiles an expression over a table's columns. A condition must
// be true or false; event tells that new and old may be named.
func compileExpr(text string, t *cdc.Table, condition, event bool) (*program, *exprError) {
	tree, config, wrong := parseExpr(text)
	if wrong != nil {
		return nil, wrong
	}
	names := namer{table: t, event: event}
	tree.Node = names.resolve(tree.Node)
	if names.err != nil {
		return nil, names.err
	}
	config.WithEnv(environment(t))
	if _, err := new(checker.Checker).Check(tree, config); err != nil {
		return nil, explain(text, t, err)
	}
	if kind := tree.Node.Nature().Kind; condition && kind != reflect.Bool && kind != reflect.Invalid && kind != reflect.Interface {
		return nil, &exprError{message: fmt.Sprintf("a condition must be true or false, but %q is %s", text, typeWord(tree.Node.Type()))}
	}
	if tree.Node.Nature().Nil && condition {
		return nil, &exprError{message: "a condition that is always nil holds for no row"}
	}
	p := &program{text: text}
	r := rewriter{table: t, functions: map[string]func(...any) (any, error){}}
	tree.Node = r.rewrite(tree.Node)
	if r.err != nil {
		return nil, r.err
	}
	p.columns = r.columns
	anyFunc := reflect.TypeOf(func(...any) (any, error) { return nil, nil })
	for name, f := range r.functions {
		config.Functions[name] = &builtin.Function{Name: name, Func: f, Types: []reflect.Type{anyFunc}}
	}
	if _, err := new(checker.Checker).Check(tree, config); err != nil {
		return nil, explain(text, t, err)
	}
	var err error
	if p.vm, err = compiler.Compile(tree, config); err != nil {
		return nil, &exprError{message: firstLine(err.Error())}
	}
	return p, nil
}

// parseExpr finds what is wrong with an expression whatever its table is: its
// syntax, and what no row has.
func parseExpr(text string) (*parser.Tree, *conf.Config, *exprError) {
	config := conf.CreateNew()
	config.Optimize = false
	tree, err := parser.ParseWithConfig(text, config)
	if err != nil {
		return nil, nil, explain(text, nil, err)
	}
	v := vocabulary{text: text}
	ast.Walk(&tree.Node, &v)
	return tree, config, v.err
}

// vocabulary finds the words of an expression that mean nothing in any.
type vocabulary struct {
	text string
	err  *exprError
}

// Visit implements ast.Visitor.
func (v *vocabulary) Visit(node *ast.Node) {
	switch x := (*node).(type) {
	case *ast.IdentifierNode:
		switch {
		case x.Value == "$env":
			v.fail("", "$env is not available")
		case sqlWords[x.Value]:
			v.fail(habit(v.text), "%s means nothing here%s", x.Value, place(v.text, x.Location().From))
		}
	case *ast.BuiltinNode:
		if why := impure[x.Name]; why != "" {
			v.fail("", "%s() is not available: %s", x.Name, why)
		}
	case *ast.CallNode:
		// expr's own functions are BuiltinNodes; a column cannot be called.
		id, ok := x.Callee.(*ast.IdentifierNode)
		switch {
		case !ok:
		case sqlClocks[strings.ToLower(id.Value)]:
			v.fail("", "%s() is not available: %s", id.Value, impure["now"])
		default:
			message, advice := noFunction(id.Value)
			v.fail(cmp.Or(habit(v.text), advice), "%s%s", message, place(v.text, id.Location().From))
		}
	}
}

func (v *vocabulary) fail(advice, format string, args ...any) {
	if v.err == nil {
		v.err = &exprError{message: fmt.Sprintf(format, args...), advice: advice}
	}
}

// noFunction is what to say of a function that there is not.
func noFunction(name string) (message, advice string) {
	if sqlFunctions[strings.ToLower(name)] == "" {
		advice = strict.DidYouMean(name, builtin.Names)
	}
	return "there is no function " + name, advice
}

// environment gives the checker each column's type.
func environment(t *cdc.Table) types.Map {
	env := types.Map{}
	for i := range t.Columns {
		c := &t.Columns[i]
		switch typeAt(t, i).Kind {
		case cdc.Bool:
			env[c.Name] = types.Bool
		case cdc.Integer:
			env[c.Name] = types.Int
		case cdc.Float, cdc.Numeric, cdc.Money:
			env[c.Name] = types.Float64
		case cdc.Timestamp, cdc.Timestamptz, cdc.Date:
			env[c.Name] = types.TypeOf(time.Time{})
		case cdc.JSON:
			env[c.Name] = types.Any
		case cdc.Array:
			env[c.Name] = types.TypeOf([]any{})
		case cdc.Hstore, cdc.Composite:
			env[c.Name] = types.TypeOf(map[string]any{})
		default:
			env[c.Name] = types.String
		}
	}
	return env
}

func typeWord(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "text"
	case reflect.Int, reflect.Float64:
		return "a number"
	case reflect.Slice:
		return "a list"
	case reflect.Map:
		return "a map"
	}
	if t == reflect.TypeOf(time.Time{}) {
		return "a time"
	}
	return t.String()
}

// namer resolves row["…"] and new.… to columns, and finds what cannot be named.
type namer struct {
	table *cdc.Table
	event bool
	err   *exprError
}

// resolve returns the tree with row["User Id"] replaced by the column itself.
func (n *namer) resolve(node ast.Node) ast.Node {
	ast.Walk(&node, n)
	return node
}

// Visit implements ast.Visitor.
func (n *namer) Visit(node *ast.Node) {
	switch x := (*node).(type) {
	case *ast.MemberNode:
		base, ok := x.Node.(*ast.IdentifierNode)
		if !ok || n.table.Index(base.Value) >= 0 {
			return
		}
		switch {
		case base.Value == "old" && n.event:
			n.fail("", "old %s", unbuilt)
			return
		case base.Value == "row", base.Value == "new" && n.event:
		default:
			return
		}
		name, ok := x.Property.(*ast.StringNode)
		if !ok {
			n.fail(`write row["User Id"]`, "%s[…] takes a column's name, written out", base.Value)
			return
		}
		if n.table.Index(name.Value) < 0 {
			message, advice := noColumn(n.table, name.Value)
			n.fail(advice, "%s", message)
			return
		}
		column := &ast.IdentifierNode{Value: name.Value}
		ast.Patch(node, column)
	}
}

func (n *namer) fail(advice, format string, args ...any) {
	if n.err == nil {
		n.err = &exprError{message: fmt.Sprintf(format, args...), advice: advice}
	}
}

func tableColumns(t *cdc.Table) []string {
	names := make([]string, len(t.Columns))
	for i := range t.Columns {
		names[i] = t.Columns[i].Name
	}
	return names
}

// explain turns an error of expr into one that says where, and what to write
// instead where SQL habits or a misspelling are behind it.
func explain(text string, t *cdc.Table, err error) *exprError {
	e := &exprError{message: firstLine(err.Error())}
	var at *file.Error
	if errors.As(err, &at) {
		e.advice = mixed(at.Message)
		e.message = strings.TrimSpace(plainWords.Replace(at.Message))
		if name, ok := strings.CutPrefix(at.Message, "unknown name "); ok {
			e.message, e.advice = unknownName(text, name, at, t)
		}
		e.message += place(text, at.From)
	}
	if h := habit(text); h != "" {
		e.advice = h
	}
	return e
}

// unknownName tells a function that is not there from a column.
func unknownName(text, name string, at *file.Error, t *cdc.Table) (message, advice string) {
	runes := []rune(text)
	if end := at.From + len([]rune(name)); end < len(runes) && strings.HasPrefix(strings.TrimLeft(string(runes[end:]), " "), "(") {
		return noFunction(name)
	}
	return noColumn(t, name)
}

// place says where in an expression something stands, counted in characters.
func place(text string, from int) string {
	runes := []rune(text)
	before := string(runes[:min(from, len(runes))])
	column := utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:]) + 1
	if n := strings.Count(before, "\n"); n > 0 {
		return fmt.Sprintf(" (line %d, column %d of the expression)", n+1, column)
	}
	return fmt.Sprintf(" (column %d of the expression)", column)
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

// result is what came of running an expression.
type result uint8

const (
	done   result = iota
	absent        // a column it reads was not sent
	failed        // the ask is settled: refused
	yes           // of a condition
	no
)

// run evaluates an expression on the row. An expression that reads a column
// which was not sent is not evaluated.
func (r *rowOf) run(p *program, reads []bound) (any, result) {
	for _, b := range reads {
		if _, state := r.get(b.index); state == cdc.Absent {
			return nil, absent
		}
	}
	if r.env == nil {
		r.Mapper.env = map[string]any{}
	}
	clear(r.env)
	for i, b := range reads {
		text, state := r.get(b.index)
		if state == cdc.Null {
			r.env[p.columns[i]] = nil
			continue
		}
		v, err := toAny(b.typ, text)
		if err != nil {
			r.refuse("column %q in %q: %v", p.columns[i], p.text, err)
			return nil, failed
		}
		r.env[p.columns[i]] = v
	}
	v, err := r.machine.Run(p.vm, r.env)
	if err != nil {
		var at *file.Error
		message := firstLine(err.Error())
		if errors.As(err, &at) {
			message = at.Message
		}
		r.refuse("%q fails on this row: %s", p.text, message)
		return nil, failed
	}
	return v, done
}

// condition evaluates a condition: null is no.
func (r *rowOf) condition(p *program, reads []bound) result {
	v, state := r.run(p, reads)
	if state != done {
		return state
	}
	switch v {
	case true:
		return yes
	case false, nil:
		return no
	}
	r.refuse("%q is %s on this row, neither true nor false", p.text, kindOf(v))
	return failed
}
