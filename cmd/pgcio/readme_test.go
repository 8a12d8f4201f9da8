package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pgcio/pgcio/internal/pgtest"
	"github.com/pgcio/pgcio/internal/simulator"
)

// What the documentation shows is true as far as a machine can tell: commands
// and flags exist, configurations load, links lead somewhere, and the quick
// start of the README is run as it stands there.

const (
	readme    = "../../README.md"
	operating = "../../docs/OPERATING.md"
	mappings  = "../../docs/MAPPING.md"
)

// fence is a fenced block of a Markdown file.
type fence struct {
	place    string // file:line
	section  string // the heading above it
	language string
	text     string
}

// documents are the Markdown files of the repository.
func documents(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, pattern := range []string{"../../*.md", "../../docs/*.md"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, files...)
	}
	if !slices.Contains(all, readme) || !slices.Contains(all, operating) {
		t.Fatalf("only found %v", all)
	}
	return all
}

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func fencesOf(t *testing.T, file string) []fence {
	t.Helper()
	var all []fence
	var open *fence
	section := ""
	for i, line := range strings.Split(read(t, file), "\n") {
		switch {
		case open != nil && line == "```":
			all, open = append(all, *open), nil
		case open != nil:
			open.text += line + "\n"
		case strings.HasPrefix(line, "```"):
			open = &fence{place: fmt.Sprintf("%s:%d", filepath.Base(file), i+1), section: section, language: line[len("```"):]}
		case strings.HasPrefix(line, "#"):
			section = strings.TrimLeft(line, "# ")
		}
	}
	if open != nil {
		t.Fatalf("%s: a block that does not end", open.place)
	}
	return all
}

func fencesIn(t *testing.T, language string) (all []fence) {
	t.Helper()
	for _, file := range documents(t) {
		for _, f := range fencesOf(t, file) {
			if f.language == language {
				all = append(all, f)
			}
		}
	}
	return all
}

// words of a shell line: quotes group, nothing else is special.
func words(line string) (all []string) {
	var word strings.Builder
	quote, some := rune(0), false
	end := func() {
		if some {
			all = append(all, word.String())
		}
		word.Reset()
		some = false
	}
	for _, c := range line {
		switch {
		case c == quote:
			quote = 0
		case quote == 0 && (c == '"' || c == '\''):
			quote, some = c, true
		case quote == 0 && c == ' ':
			end()
		default:
			word.WriteRune(c)
			some = true
		}
	}
	end()
	return all
}

// commandLines are the commands of a block, without comments, redirections and
// whom they are run as.
func commandLines(text string) (all [][]string) {
	text = strings.ReplaceAll(text, "\\\n", " ")
	for _, line := range strings.Split(text, "\n") {
		w := words(line)
		if i := slices.IndexFunc(w, func(s string) bool { return strings.HasPrefix(s, "#") }); i >= 0 {
			w = w[:i]
		}
		if len(w) > 0 && w[0] == "sudo" {
			if w = w[1:]; len(w) > 2 && w[0] == "-u" {
				w = w[2:]
			}
		}
		if len(w) > 0 {
			all = append(all, w)
		}
	}
	return all
}

// without cuts a redirection off, and says where it leads.
func without(w []string) (command []string, into string) {
	if i := slices.Index(w, ">"); i >= 0 && i+1 < len(w) {
		return w[:i], w[i+1]
	}
	return w, ""
}

// understood tells why pgcio would not take a command line.
func understood(args []string) error {
	root := (&app{console: console{getenv: environment(nil)}}).command()
	root.InitDefaultHelpCmd() // which cobra does when it runs
	cmd, rest, err := root.Find(args)
	switch {
	case err != nil:
		return err
	case cmd == root:
		return fmt.Errorf("names no command")
	case cmd.GroupID == unbuiltGroup:
		return fmt.Errorf("is not built yet")
	}
	cmd.InitDefaultHelpFlag()
	if err := cmd.ParseFlags(rest); err != nil {
		return err
	}
	if asked, err := cmd.Flags().GetBool("help"); asked && err == nil {
		return nil
	}
	return cmd.ValidateArgs(cmd.Flags().Args())
}

func TestDocumentedCommands(t *testing.T) {
	makefile := read(t, "../../Makefile")
	seen := 0
	for _, f := range fencesIn(t, "sh") {
		for _, w := range commandLines(f.text) {
			w, _ = without(w)
			seen++
			switch w[0] {
			case "pgcio":
				if err := understood(w[1:]); err != nil {
					t.Errorf("%s: %q: %v", f.place, strings.Join(w, " "), err)
				}
			case "make":
				if !regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(w[1]) + `:.*## `).MatchString(makefile) {
					t.Errorf("%s: make has no target %s", f.place, w[1])
				}
				for _, set := range w[2:] {
					name, _, ok := strings.Cut(set, "=")
					if !ok || !strings.Contains(makefile, "$("+name+")") {
						t.Errorf("%s: make %s does not read %s", f.place, w[1], set)
					}
				}
			case "install":
				// What is installed comes from the repository, or is built before.
				from := w[len(w)-2]
				if w[1] != "-d" && from != "/dev/null" && from != "bin/pgcio" {
					if _, err := os.Stat(filepath.Join("../..", from)); err != nil {
						t.Errorf("%s: %v", f.place, err)
					}
				}
			case "export", "psql", "curl", "systemctl", "systemd-sysusers", "journalctl", "mv", "cp", "rm", "git", "PGCIO_SEED=1", "go":
			default:
				t.Errorf("%s: %q is a command that nobody checks", f.place, w[0])
			}
		}
	}
	if seen < 20 {
		t.Errorf("only %d commands were found", seen)
	}
}

// A command named in a sentence exists, too.
func TestMentionedCommands(t *testing.T) {
	for _, file := range documents(t) {
		for _, m := range regexp.MustCompile("`pgcio ([a-z][^`]*)`").FindAllStringSubmatch(read(t, file), -1) {
			if err := understood(words(m[1])); err != nil && !strings.HasPrefix(err.Error(), "usage: ") {
				t.Errorf("%s: `pgcio %s`: %v", filepath.Base(file), m[1], err)
			}
		}
	}
}

// What the help of simulate shows is what the simulator takes.
func TestSimulateHelp(t *testing.T) {
	var help bytes.Buffer
	execute(t.Context(), []string{"simulate", "--help"}, console{stdout: &help, stderr: &help, getenv: environment(nil)})
	sim, _, err := newSimulator(simulator.DefaultSettings(), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer sim.Close()
	asked := 0
	for _, w := range commandLines(help.String()) {
		if w[0] != "curl" {
			continue
		}
		asked++
		r := httptest.NewRequest(http.MethodGet, w[1], nil)
		if len(w) == 4 && w[2] == "-d" {
			r = httptest.NewRequest(http.MethodPost, w[1], strings.NewReader(w[3]))
		}
		reply := httptest.NewRecorder()
		if sim.ServeHTTP(reply, r); reply.Code != http.StatusOK {
			t.Errorf("%s: %d %s", strings.Join(w, " "), reply.Code, reply.Body)
		}
	}
	if asked < 5 {
		t.Errorf("only %d requests were found in\n%s", asked, help.String())
	}
}

// What is shown of a configuration loads; what a piece lacks is added.
func TestDocumentedConfigurations(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"site_id", "track_api_key", "app_api_key", "postgres_url"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	getenv := environment(map[string]string{
		"PGCIO_POSTGRES_URL": "postgres://pgcio@/app", "CIO_SITE_ID": "site", "CIO_TRACK_API_KEY": "key", "CIO_APP_API_KEY": "app",
		"CREDENTIALS_DIRECTORY": dir,
	})
	blocks := fencesIn(t, "toml")
	for _, f := range blocks {
		text := f.text
		if !strings.Contains(text, "[[mapping]]") {
			text += "[[mapping]]\nname = \"any\"\ntable = \"public.users\"\nobject = \"person\"\nbehavior = \"update_or_create\"\nperson = { id = \"id\" }\n"
		}
		if !strings.Contains(text, "[workspace.") {
			text = "[workspace.main]\nsite_id = \"s\"\ntrack_api_key = \"t\"\n" + text
		}
		if _, err := parseConfig(f.place, []byte(text), getenv); err != nil {
			t.Errorf("%v", err)
		}
	}
	if len(blocks) < 3 {
		t.Errorf("only %d configurations were found", len(blocks))
	}
}

// The tables and mappings of docs/MAPPING.md fit each other, and those of the
// quick start.
func TestDocumentedMappings(t *testing.T) {
	db := pgtest.NewDatabase(t)
	var config string
	for _, f := range slices.Concat(fencesOf(t, readme), fencesOf(t, mappings)) {
		switch {
		case f.language == "sql":
			db.Exec(t, f.text)
		case f.language == "toml":
			config += f.text
		}
	}
	t.Chdir(t.TempDir())
	if err := os.WriteFile("pgcio.toml", []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, complaints bytes.Buffer
	getenv := environment(map[string]string{"PGCIO_POSTGRES_URL": db.URL()})
	if status := execute(t.Context(), []string{"setup", "--print", "--url", db.URL()}, console{stdout: &out, stderr: &complaints, getenv: getenv}); status != 0 {
		t.Errorf("status %d: %s", status, complaints.String())
	}
	for _, table := range []string{"users", "orders", "devices", "accounts", "members"} {
		if !strings.Contains(out.String(), `ONLY "public"."`+table+`"`) {
			t.Errorf("%s is not published by\n%s", table, out.String())
		}
	}
}

// OPERATING.md says what is not built yet: all of it, and nothing that is.
func TestDocumentedAsNotBuilt(t *testing.T) {
	text := section(t, operating, "Not in this version")
	list := func(label string) (names []string) {
		line := regexp.MustCompile(`(?m)^- ` + label + `: (.*)$`).FindString(text)
		for _, m := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(line, -1) {
			names = append(names, m[1])
		}
		if names == nil {
			t.Errorf("OPERATING.md does not list %s", label)
		}
		return names
	}
	var commands []string
	for _, c := range unbuiltCommands {
		name, _, _ := strings.Cut(c.use, " ")
		commands = append(commands, name)
	}
	if got := list("Commands"); !slices.Equal(got, commands) {
		t.Errorf("OPERATING.md lists the commands %v, not built are %v", got, commands)
	}
	var settings []string
	for _, s := range slices.Concat(unbuiltPostgres, unbuiltState) {
		settings = append(settings, s.key)
	}
	if got := list("Settings"); !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(settings))) {
		t.Errorf("OPERATING.md lists the settings %v, not built are %v", got, settings)
	}
	for _, object := range list("Objects") {
		_, err := parseConfig("pgcio.toml", []byte(strings.Replace(minimal, `"person"`, `"`+object+`"`, 1)), environment(nil))
		if err == nil || !strings.Contains(err.Error(), `object "`+object+`" is not built yet`) {
			t.Errorf("OPERATING.md says that %s is not built: %v", object, err)
		}
	}
}

func TestDocumentedLinks(t *testing.T) {
	for _, file := range documents(t) {
		for _, m := range regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`).FindAllStringSubmatch(read(t, file), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(file), m[1])); err != nil {
				t.Errorf("%s: a link to %s: %v", filepath.Base(file), m[1], err)
			}
			if m[2] != "" && !slices.ContainsFunc(strings.Split(read(t, filepath.Join(filepath.Dir(file), m[1])), "\n"), func(line string) bool {
				return strings.HasPrefix(line, "#") && "#"+anchor(line) == m[2]
			}) {
				t.Errorf("%s: %s has no heading %s", filepath.Base(file), m[1], m[2])
			}
		}
	}
}

// anchor is the name by which a heading is linked to.
func anchor(heading string) string {
	heading = strings.ToLower(strings.TrimLeft(heading, "# "))
	return strings.ReplaceAll(regexp.MustCompile(`[^\w\- ]`).ReplaceAllString(heading, ""), " ", "-")
}

// The alarms that the documentation names are those that the code raises.
func TestDocumentedAlarms(t *testing.T) {
	var documented []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\|").FindAllStringSubmatch(section(t, operating, "Alarms"), -1) {
		documented = append(documented, m[1])
	}
	var raised []string
	for file, pattern := range map[string]string{
		"../../cdc/status.go": `(?m)^\tAlarm\w+ += "(\w+)"`,
		"view.go":             `alarms\.raise(?:Kept)?\("(\w+)"`,
		"offline.go":          `Alarm\{\{Name: "(\w+)"`,
	} {
		for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(read(t, file), -1) {
			raised = append(raised, m[1])
		}
	}
	slices.Sort(documented)
	slices.Sort(raised)
	if !slices.Equal(documented, raised) {
		t.Errorf("documented are the alarms %v, raised are %v", documented, raised)
	}
}

// section is the text under a heading, up to the next.
func section(t *testing.T, file, heading string) string {
	t.Helper()
	var b strings.Builder
	in, fenced := false, false
	for _, line := range strings.Split(read(t, file), "\n") {
		if strings.HasPrefix(line, "```") {
			fenced = !fenced
		}
		if strings.HasPrefix(line, "#") && !fenced {
			in = strings.TrimLeft(line, "# ") == heading
		} else if in {
			b.WriteString(line + "\n")
		}
	}
	if b.Len() == 0 {
		t.Fatalf("%s has no section %s", filepath.Base(file), heading)
	}
	return b.String()
}

// quickStart runs the commands of the README's section of that name, as the
// user who reads it.
type quickStart struct {
	t       *testing.T
	admin   *pgtest.DB
	env     map[string]string
	address string // of the status server
	done    map[string]bool
	metrics string
	section string // of the simulated workspace, for the configuration
	held    string // what Customer.io held when it was asked

	warnings [][]string // what check warned of

	ended chan int // the daemon's status
	log   *bytes.Buffer
}

func TestQuickStart(t *testing.T) {
	blocks := fencesOf(t, readme)
	q := &quickStart{t: t, admin: pgtest.New(t).DB(), done: map[string]bool{}, ended: make(chan int, 1)}
	documented, told := section(t, operating, "What to monitor"), section(t, readme, "Quick start")
	role, err := url.Parse(q.admin.URL())
	if err != nil {
		t.Fatal(err)
	}
	role.User = url.UserPassword("pgcio", "secret")
	q.env = map[string]string{
		"PATH": "bin", "ADMIN_URL": q.admin.URL(), "PGCIO_POSTGRES_URL": role.String(),
		"CIO_SITE_ID": "site", "CIO_TRACK_API_KEY": "key", "CIO_APP_API_KEY": "app",
	}
	if q.address, err = freeAddress(); err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	simulating, end := context.WithCancel(t.Context())
	defer end()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	for _, f := range blocks {
		if f.section != "Quick start" {
			continue
		}
		switch f.language {
		case "sql":
			q.admin.Exec(t, f.text)
			q.admin.Exec(t, `INSERT INTO users (id, email, first_name, plan) VALUES (1, 'ada@example.com', 'Ada', 'pro')`)
		case "toml":
			before, rest, _ := strings.Cut(f.text, "[workspace.main]\n")
			_, mappings, _ := strings.Cut(rest, "[[mapping]]\n")
			text := fmt.Sprintf("%s[http]\nlisten = %q\n%s[[mapping]]\n%s", before, q.address, q.section, mappings)
			if err := os.WriteFile("pgcio.toml", []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		case "sh":
			if strings.Contains(f.text, "teardown") { // before which it says to stop the daemon
				stop()
				if status := <-q.ended; status != 0 {
					t.Errorf("pgcio run ended with status %d: %s", status, q.log)
				}
			}
			for _, w := range commandLines(f.text) {
				if w[0] == "pgcio" && w[1] == "simulate" {
					q.simulate(simulating, w[1:])
					continue
				}
				q.step(t.Context(), ctx, f.place, w)
			}
		}
	}
	for _, what := range []string{"setup.sql", "check", "setup", "run", "status", "teardown"} {
		if !q.done[what] {
			t.Errorf("the quick start has no %s", what)
		}
	}
	for _, w := range q.warnings {
		if !strings.Contains(told, "`"+w[1]+"`") {
			t.Errorf("check warns of %s, and the quick start does not say so", w[1])
		}
	}
	if len(q.warnings) != 2 {
		t.Errorf("the quick start says that check warns twice, and it warns of %q", q.warnings)
	}
	for _, want := range []string{`"full_name": "Ada"`, `"name": "order_placed"`} {
		if !strings.Contains(q.held, want) {
			t.Errorf("Customer.io does not hold %s: %s", want, q.held)
		}
	}
	if left := q.admin.Query(t, `SELECT slot_name::text FROM pg_replication_slots UNION ALL SELECT pubname FROM pg_publication
		UNION ALL SELECT rolname FROM pg_roles WHERE rolname = 'pgcio'`); len(left) > 0 {
		t.Errorf("in the end there are still %v", left)
	}
	q.compareMetrics(documented)
}

// simulate runs the simulated Customer.io, at an address that is free, and keeps
// what it prints for the configuration.
func (q *quickStart) simulate(ctx context.Context, args []string) {
	r, w := io.Pipe()
	ended := make(chan int, 1)
	go func() {
		ended <- execute(ctx, append(args, "--listen", "127.0.0.1:0"), console{stdout: w, stderr: w, getenv: environment(q.env)})
		w.Close()
	}()
	q.t.Cleanup(func() { <-ended })
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		q.section += lines.Text() + "\n"
		if strings.HasPrefix(lines.Text(), "app_url") {
			return
		}
	}
	q.t.Fatalf("pgcio simulate ended, and said %q", q.section)
}

// simulator is the address of the simulated Customer.io.
func (q *quickStart) simulator() string {
	_, base, _ := strings.Cut(q.section, `track_url     = "`)
	base, _, _ = strings.Cut(base, `"`)
	return base
}

// step runs a command; the daemon until running ends.
func (q *quickStart) step(ctx, running context.Context, place string, w []string) {
	t := q.t
	w, into := without(w)
	for i := range w {
		w[i] = os.Expand(w[i], func(name string) string { return q.env[name] })
	}
	switch w[0] {
	case "make":
	case "export":
		for _, set := range w[1:] {
			if name, _, _ := strings.Cut(set, "="); q.env[name] == "" {
				t.Errorf("%s: %s is exported, and nothing reads it", place, name)
			}
		}
	case "rm":
		for _, file := range w[1:] {
			if err := os.Remove(file); err != nil {
				t.Errorf("%s: %v", place, err)
			}
		}
	case "psql":
		if w[1] != q.admin.URL() {
			t.Errorf("%s: psql connects to %s", place, w[1])
		}
		sql := w[len(w)-1]
		if w[len(w)-2] == "-f" {
			sql = read(t, sql)
			q.done["setup.sql"] = true
		}
		q.admin.Exec(t, sql)
	case "curl":
		address := strings.Replace(w[len(w)-1], "127.0.0.1:7464", q.address, 1)
		body, err := fetch(ctx, strings.Replace(address, "http://127.0.0.1:7465", q.simulator(), 1))
		if err != nil {
			t.Fatalf("%s: %v", place, err)
		}
		if address == w[len(w)-1] {
			q.held = string(body)
			return
		}
		q.metrics += string(body)
	case "pgcio":
		q.done[w[1]] = true
		if w[1] == "run" {
			q.run(running, w[1:])
			return
		}
		var out, complaints bytes.Buffer
		if status := execute(ctx, w[1:], console{stdout: &out, stderr: &complaints, getenv: environment(q.env)}); status != 0 {
			t.Fatalf("%s: %q ended with status %d:\n%s%s", place, strings.Join(w, " "), status, out.String(), complaints.String())
		}
		if w[1] == "check" {
			q.warnings = regexp.MustCompile(`(?m)^warning +(.+?)  `).FindAllStringSubmatch(out.String(), -1)
		}
		if into != "" {
			if err := os.WriteFile(into, out.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	default:
		t.Errorf("%s: %q is not run by anything", place, w[0])
	}
}

// run starts the daemon, lets the application write, and waits for that to
// arrive.
func (q *quickStart) run(ctx context.Context, args []string) {
	q.log = new(bytes.Buffer)
	go func() {
		q.ended <- execute(ctx, args, console{stdout: q.log, stderr: q.log, getenv: environment(q.env)})
	}()
	q.admin.Exec(q.t, `INSERT INTO orders VALUES (1, 1, 10.5, '["tea"]', now())`)
	deadline := time.Now().Add(patience)
	for ; ; time.Sleep(20 * time.Millisecond) {
		s, body, err := currentStatus(ctx, q.address)
		if err == nil && s.CaughtUp && s.Mappings[0].Changes.Delivered == 1 && s.Mappings[1].Changes.Delivered == 1 {
			return
		}
		select {
		case status := <-q.ended:
			q.t.Fatalf("pgcio run ended with status %d: %s", status, q.log)
		default:
		}
		if time.Now().After(deadline) {
			q.t.Fatalf("not caught up: %v %s", err, body)
		}
	}
}

// compareMetrics compares the metrics that are documented with those there are.
func (q *quickStart) compareMetrics(documented string) {
	names := func(pattern, text string) []string {
		var all []string
		for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
			all = append(all, m[1])
		}
		slices.Sort(all)
		return slices.Compact(all)
	}
	there := names(`(?m)^# TYPE (pgcio_\w+) `, q.metrics)
	there = append(there, "pgcio_slot_safe_bytes") // there is none where nothing bounds the slot
	slices.Sort(there)
	told := names("`(pgcio_\\w+)", documented)
	if !slices.Equal(told, slices.Compact(there)) {
		q.t.Errorf("documented are the metrics\n%v, there are\n%v", told, there)
	}
}
