package mapping

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/pgcio/pgcio/cdc"
	"github.com/pgcio/pgcio/internal/pgtest"
)

// docs/EXPRESSIONS.md is read here: its examples give what the SQL beside them
// gives, and what it calls refused is refused in those words.

// documented are the rows of the table under a heading of docs/EXPRESSIONS.md.
func documented(t *testing.T, heading string) (rows [][2]string) {
	t.Helper()
	text, err := os.ReadFile("../docs/EXPRESSIONS.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## "+heading+"\n")
	section, _, _ = strings.Cut(section, "\n## ")
	for _, m := range regexp.MustCompile("(?m)^\\| `(.*?)` \\| (.*) \\|$").FindAllStringSubmatch(section, -1) {
		rows = append(rows, [2]string{m[1], strings.ReplaceAll(strings.Trim(m[2], "`"), `\|`, "|")})
	}
	if len(rows) < 6 {
		t.Fatalf("under %s there are only %q", heading, rows)
	}
	return rows
}

func documentedTable() *cdc.Table {
	return table("public.users", col("id", "int8"), col("email", "text"), col("first_name", "text"), col("last_name", "text"),
		col("plan", "text"), col("created_at", "timestamptz"), col("deleted_at", "timestamptz"), col("items", "jsonb"))
}

func TestDocumentedExpressions(t *testing.T) {
	values := map[string][]string{
		"email": {"ada@example.com", "ada@example.org"}, "first_name": {"Ada", ""}, "last_name": {"Byron"}, "plan": {"free", "pro"},
		"created_at": {"2024-01-01 00:00:00+00", "2023-12-31 23:59:59+00"}, "deleted_at": {"2024-01-01 00:00:00+00"},
		"items": {`[{"sku": "tea"}]`, `[{}]`, `[]`},
	}
	db := pgtest.NewDatabase(t)
	db.Exec(t, "CREATE TABLE users (id bigint, email text, first_name text, last_name text, plan text, created_at timestamptz, deleted_at timestamptz, items jsonb)")
	u := documentedTable()
	for _, row := range documented(t, "Examples") {
		text, sql := row[0], row[1]
		p, wrong := compileExpr(text, u, false, false)
		if wrong != nil {
			t.Errorf("%s: %s", text, wrong.message)
			continue
		}
		m := load(t, fmt.Sprintf("[[mapping]]\nname='n'\ntable='users'\nobject='person'\nbehavior='update_only'\nperson={id='id'}\n[mapping.attributes]\nx={expr=%q}", text), u)
		for i, row := range everyRow(p.columns, values) {
			row["id"] = i
			var names, literals []string
			for name, v := range row {
				names, literals = append(names, name), append(literals, "NULL")
				if v != nil {
					literals[len(literals)-1] = fmt.Sprintf("'%v'", v)
				}
			}
			db.Exec(t, fmt.Sprintf("TRUNCATE users; INSERT INTO users (%s) VALUES (%s)", strings.Join(names, ", "), strings.Join(literals, ", ")))
			want := db.Query(t, "SELECT ("+sql+")::text FROM users")
			got := mapOne(t, m, insert(u, row), nil)
			if len(got.Operation.Attributes) != 1 {
				t.Errorf("%s: %s, for %v", text, show(got), row)
			} else if value := sqlText(string(got.Operation.Attributes[0].Value)); value != want[0][0] {
				t.Errorf("%s is %s, %s is %s in SQL, for %v", text, value, sql, want[0][0], row)
			}
		}
	}
}

func TestDocumentedRefusals(t *testing.T) {
	for _, row := range documented(t, "What is refused") {
		_, wrong := compileExpr(row[0], documentedTable(), true, false)
		if wrong == nil {
			t.Errorf("%s is documented as refused, and compiles", row[0])
		} else if said := wrong.message + "; " + wrong.advice; !strings.Contains(said, row[1]) {
			t.Errorf("%s: documented is %q, said is %q", row[0], row[1], said)
		}
	}
}
