package mapping

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/pgcio/pgcio/cdc"
	"github.com/pgcio/pgcio/internal/pgtest"
)

// nullCases pairs every operator of expressions with the SQL it stands for.
// Both are evaluated on every combination of values and nulls, and must agree.
// Where SQL has no such operator, the nearest that is strict in its arguments
// stands beside it.
var nullCases = []struct{ expr, sql string }{
	// integers
	{"a + b", "a + b"}, {"a - b", "a - b"}, {"a * b", "a * b"}, {"a / b", "a::float8 / b"}, {"a % b", "a % b"},
	{"a ** b", "power(a, b)::float8"}, {"a ^ b", "power(a, b)::float8"}, {"-a", "-a"}, {"+a", "+a"},
	{"a == b", "a = b"}, {"a != b", "a <> b"}, {"a < b", "a < b"}, {"a <= b", "a <= b"}, {"a > b", "a > b"}, {"a >= b", "a >= b"},
	{"a == nil", "a is null"}, {"a != nil", "a is not null"}, {"nil == a", "a is null"}, {"nil != a", "a is not null"},
	{"a ?? b", "coalesce(a, b)"}, {"a ?? 7", "coalesce(a, 7)"}, {"(a + b) ?? 7", "coalesce(a + b, 7)"},
	{"a in [b, 2]", "a in (b, 2)"}, {"a not in [b, 2]", "a not in (b, 2)"}, {"a in [1, 3]", "a in (1, 3)"}, {"not (a in [b])", "not (a in (b))"},
	{"a in [1, nil]", "a in (1, null)"}, {"a in []", "a = any('{}'::int[])"},
	{"not (a > b)", "not (a > b)"}, {"a > b ? 'y' : 'n'", "case when a > b then 'y' else 'n' end"}, {"a > b ? a : b", "case when a > b then a else b end"},
	{"abs(-a)", "abs(-a)"}, {"string(a)", "a::text"}, {"float(a)", "a::float8"}, {"a in 1..2", "a between 1 and 2"},
	{"max(a, b)", "case when a is not null and b is not null then greatest(a, b) end"},
	{"min(a, b)", "case when a is not null and b is not null then least(a, b) end"},
	{"let c = a + 1; c > b", "a + 1 > b"}, {"(a == nil) == (b == nil)", "(a is null) = (b is null)"},
	{"if a > b { 'y' } else { 'n' }", "case when a > b then 'y' else 'n' end"},

	// three-valued logic
	{"p and q", "p and q"}, {"p or q", "p or q"}, {"p && q", "p and q"}, {"p || q", "p or q"}, {"not p", "not p"}, {"!p", "not p"},
	{"p == q", "p = q"}, {"p != q", "p <> q"}, {"not (p and q)", "not (p and q)"}, {"not (p or q)", "not (p or q)"},
	{"p and not q", "p and not q"}, {"p or not q", "p or not q"}, {"p and q or not p", "p and q or not p"}, {"p and a > b", "p and a > b"},
	{"a > b or q", "a > b or q"}, {"p ? q : not q", "case when p then q else not q end"}, {"p ?? q", "coalesce(p, q)"},

	// text
	{"s + t", "s || t"}, {"s == t", "s = t"}, {"s != t", "s <> t"}, {"s < t", `s < t collate "C"`}, {"s >= t", `s >= t collate "C"`},
	{"s contains t", "position(t in s) > 0"}, {"s startsWith t", "left(s, length(t)) = t"}, {"s endsWith t", "right(s, length(t)) = t"},
	{"not (s contains t)", "not (position(t in s) > 0)"}, {"s not contains t", "not (position(t in s) > 0)"},
	{"s matches t", "s ~ t"}, {"s matches '^a'", "s ~ '^a'"}, {"s not matches '^a'", "s !~ '^a'"},
	{"upper(s)", "upper(s)"}, {"lower(s)", "lower(s)"}, {"trim(s)", "trim(s)"}, {"len(s)", "length(s)"}, {"s[0:1]", "substr(s, 1, 1)"}, {"s[:1]", "left(s, 1)"}, {"s[1:]", "substr(s, 2)"},
	{"replace(s, 'a', 'x')", "replace(s, 'a', 'x')"}, {"replace(s, 'a', t)", "replace(s, 'a', t)"}, {"repeat(s, a)", "repeat(s, a)"},
	{"hasPrefix(s, t)", "left(s, length(t)) = t"}, {"hasSuffix(s, t)", "right(s, length(t)) = t"},
	{"trim((s ?? '') + ' ' + (t ?? ''))", "trim(coalesce(s, '') || ' ' || coalesce(t, ''))"}, {"s in [t, 'ab']", "s in (t, 'ab')"},
	{"s | upper()", "upper(s)"}, {"split(s, 'b')[0]", "split_part(s, 'b', 1)"}, {"toBase64(s)", "encode(convert_to(s, 'UTF8'), 'base64')"},

	// exact numerics
	{"n + m", "n + m"}, {"n - m", "n - m"}, {"n * m", "n * m"}, {"n == m", "n = m"}, {"n < m", "n < m"}, {"n >= m", "n >= m"}, {"-n", "-n"},
	{"n == 0.1", "n = 0.1"}, {"n + 0.2 == 0.3", "n + 0.2 = 0.3"}, {"n > a", "n > a"}, {"n * a", "n * a"}, {"abs(n)", "abs(n)"}, {"n in [0.1, m]", "n in (0.1, m)"},
	{"string(n)", "n::text"}, {"n ?? 0.5", "coalesce(n, 0.5)"}, {"n + f > 0", "n::float8 + f > 0"},

	// floats
	{"f == g", "f = g"}, {"f < g", "f < g"}, {"f >= g", "f >= g"}, {"f * 2", "f * 2"}, {"round(f)", "sign(f) * floor(abs(f) + 0.5)"}, {"floor(f)", "floor(f)"}, {"ceil(f)", "ceil(f)"}, {"int(f)", "trunc(f)::int"},

	// times
	{"u == v", "u = v"}, {"u < v", "u < v"}, {"u >= v", "u >= v"}, {"u > date('2024-01-01')", "u > '2024-01-01Z'"}, {"u - v > duration('1h')", "case when isfinite(u) and isfinite(v) then u - v > '1 hour' else u > v end"},
	{"v.Year()", "extract(year from v at time zone 'UTC')::int"}, {"v.Hour()", "extract(hour from v at time zone 'UTC')::int"}, {"int(v.Month()) == 1", "extract(month from v at time zone 'UTC') = 1"}, {"u == nil", "u is null"}, {"d < date('2024-02-01')", "d < '2024-02-01'"}, {"u > d", "u > d::timestamp at time zone 'UTC'"},

	// lists and json
	{"a in l", "a = any(l)"}, {"len(l)", "cardinality(l)"}, {"l[0]", "l[1]"}, {"l[9]", "l[10]"}, {"l == nil", "l is null"},
	{"l[0] > a", "l[1] > a"}, {"sum(l)", "case when l is not null then (select coalesce(sum(x), 0) from unnest(l) x) end"},
	{"max(l)", "(select max(x) from unnest(l) x)"}, {"any(l, # > a)", "case when l is not null then coalesce((select bool_or(x > a) from unnest(l) x), false) end"},
	{"all(l, # > 0)", "case when l is not null then coalesce((select bool_and(coalesce(x > 0, false)) from unnest(l) x), true) end"},
	{"count(l, # > 0)", "case when l is not null then (select count(*) from unnest(l) x where x > 0) end"},
	{"len(filter(l, # != nil))", "case when l is not null then (select count(*) from unnest(l) x where x is not null) end"},
	{"j.k == 'x'", "j->>'k' = 'x'"}, {"j.k", "j->>'k'"}, {"j?.k?.z == nil", "j->'k'->'z' is null"}, {"j['k'] ?? 'none'", "coalesce(j->>'k', 'none')"}, {"j.n > a", "(j->>'n')::int > a"}, {"'k' in j", "j ? 'k'"},
	{"j.l[1]", "(j->'l'->>1)::int"},
}

// nullValues are the values each column takes, beside null.
var nullValues = map[string][]string{
	"a": {"1", "2"}, "b": {"2", "3"}, "p": {"t", "f"}, "q": {"t", "f"}, "s": {"a", "ab", ""}, "t": {"b", "a"},
	"n": {"0.1", "-12345678901234567890.50"}, "m": {"0.10", "3"}, "f": {"0.5", "-2.5"}, "g": {"0.5", "NaN"},
	"u": {"2024-06-01 12:00:00.25+00", "infinity"}, "v": {"2024-06-01 10:00:00+00", "2023-01-01 00:00:00+00"}, "d": {"2024-01-31"},
	"l": {"{1,NULL,3}", "{}"}, "j": {`{"k": "x", "n": 2, "l": [1, 5]}`, `{"k": null}`},
}

var nullColumns = []cdc.TableColumn{
	col("i", "int4"), col("a", "int4"), col("b", "int4"), col("p", "bool"), col("q", "bool"), col("s", "text"), col("t", "text"),
	col("n", "numeric"), col("m", "numeric"), col("f", "float8"), col("g", "float8"), col("u", "timestamptz"), col("v", "timestamptz"), col("d", "date"),
	col("l", "_int4"), col("j", "jsonb"),
}

// TestNullsAsInSQL evaluates every case here and in Postgres, on every
// combination of the values of the columns it reads.
func TestNullsAsInSQL(t *testing.T) {
	db := pgtest.NewDatabase(t)
	session := db.Connect(t)
	ctx := t.Context()
	tbl := table("public.nulls", nullColumns...)
	for _, c := range nullCases {
		p, problem := compileExpr(c.expr, tbl, false, false)
		if problem != nil {
			t.Errorf("%s: %s", c.expr, problem.message)
			continue
		}
		rows := everyRow(p.columns, nullValues)
		var selects []string
		for i, row := range rows {
			var values []string
			for _, name := range p.columns {
				v := "null"
				if row[name] != nil {
					v = "'" + row[name].(string) + "'"
				}
				typ := tbl.Columns[tbl.Index(name)].Type.Name
				values = append(values, fmt.Sprintf("%s::%s as %s", v, strings.Replace(typ, "_int4", "int4[]", 1), name))
			}
			if len(values) == 0 {
				values = []string{"1"}
			}
			selects = append(selects, fmt.Sprintf("select %d as i, (%s)::text from (select %s) x", i, c.sql, strings.Join(values, ", ")))
		}
		want, err := session.Query(ctx, strings.Join(selects, " union all ")+" order by 1")
		if err != nil {
			t.Errorf("%s: %v", c.sql, err)
			continue
		}
		m := load(t, fmt.Sprintf("[[mapping]]\nname='n'\ntable='nulls'\nobject='person'\nbehavior='update_only'\nperson={id='i'}\n[mapping.attributes]\nx={expr=%q}", c.expr), tbl)
		for i, row := range rows {
			row["i"] = i
			ask := mapOne(t, m, insert(tbl, row), nil)
			got := ask.Reason
			if len(ask.Operation.Attributes) > 0 {
				got = sqlText(string(ask.Operation.Attributes[0].Value))
			} else if len(ask.Left) > 0 {
				got = ask.Left[0].Reason
			}
			if expect := want[i][1]; got != expect && !(expect == "NaN" && got == reasonNaN) && !(strings.HasPrefix(expect, "Infinity") && got == reasonInfinity) {
				t.Errorf("%s is %s here, %s is %s in SQL, for %v", c.expr, got, c.sql, expect, row)
			}
		}
	}
}

// sqlText is a JSON value as SQL's text would show it.
func sqlText(json string) string {
	if json == "null" {
		return pgtest.Null
	}
	if s, ok := strings.CutPrefix(json, `"`); ok {
		return strings.TrimSuffix(s, `"`)
	}
	return json
}

// everyRow are all rows of the columns' values and null.
func everyRow(columns []string, of map[string][]string) []map[string]any {
	rows := []map[string]any{{}}
	for _, c := range columns {
		values := []any{nil}
		for _, v := range of[c] {
			values = append(values, v)
		}
		var next []map[string]any
		for _, row := range rows {
			for _, v := range values {
				more := maps.Clone(row)
				more[c] = v
				next = append(next, more)
			}
		}
		rows = next
	}
	return rows
}
