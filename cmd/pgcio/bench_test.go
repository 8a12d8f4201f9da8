//go:build bench

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pgcio/pgcio/cdc"
	"github.com/pgcio/pgcio/internal/lsn"
	"github.com/pgcio/pgcio/internal/pgtest"
	"github.com/pgcio/pgcio/internal/simulator"
	"github.com/pgcio/pgcio/internal/status"
)

// The benches run the released binary against a private cluster. What is
// compared runs in turn, on the same backlog, and is stated as ratios: the
// machines they run on are small and noisy. `make bench` runs them all.
//
// PGCIO_BENCH_SCALE divides the numbers of rows, and PGCIO_BENCH_ROUNDS is how
// often what is compared runs (3), for a quick look.

func scale(n int) int { return n / benchSetting("PGCIO_BENCH_SCALE", 1) }

func benchSetting(name string, usual int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil && n > 0 {
		return n
	}
	return usual
}

// bench is a cluster, a built binary, and a simulator on loopback.
type bench struct {
	*testing.T
	cluster *pgtest.Cluster
	binary  string
	sim     *simulator.Simulator
	url     string
}

func newBench(t *testing.T) *bench {
	b := &bench{T: t, cluster: pgtest.New(t, pgtest.Options{Settings: map[string]string{
		"max_wal_senders": "20", "max_replication_slots": "30", "max_wal_size": "8GB", "shared_buffers": "256MB", "autovacuum": "off", "synchronous_commit": "off",
	}})}
	b.binary = filepath.Join(t.TempDir(), "pgcio")
	if out, err := exec.Command("go", "build", "-o", b.binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return b
}

// customerio starts a new simulator.
func (b *bench) customerio(change func(*simulator.Settings)) {
	settings := simulator.DefaultSettings()
	change(&settings)
	ws := simulator.DefaultWorkspace()
	ws.Settings = &settings
	var err error
	if b.sim, err = simulator.New(simulator.Options{Workspaces: []simulator.Workspace{ws}, LogSize: 200_000}); err != nil {
		b.Fatal(err)
	}
	server := httptest.NewServer(b.sim)
	b.Cleanup(server.Close)
	b.url = server.URL
}

func (b *bench) sql(sql string, args ...any) [][]string {
	b.Helper()
	rows, err := b.cluster.Query(b.Context(), sql, args...)
	if err != nil {
		b.Fatalf("%s: %v", sql, err)
	}
	return rows
}

func (b *bench) value(sql string) string { b.Helper(); return b.sql(sql)[0][0] }

// flushed is the end of the WAL, all of which has reached the disk: commits are
// asynchronous here.
func (b *bench) flushed() string {
	b.Helper()
	b.sql(`CHECKPOINT`)
	return b.value(`SELECT pg_current_wal_flush_lsn()`)
}

// instance is a configuration with a state file and a slot of its own.
type instance struct {
	b    *bench
	dir  string
	http string
	cpu  time.Duration // of the last run, once it has ended
}

const benchPeople = `
[[mapping]]
name = "people"
table = "public.users"
object = "person"
behavior = "update_or_create"
person = { id = "id" }
backfill = %v
[mapping.attributes]
email = "email"
name = "name"
plan = "plan"
visits = "visits"
city = "city"
updated_at = "updated_at"
`

func (b *bench) instance(name, workspace string, backfill bool) *instance {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	i := &instance{b: b, dir: b.TempDir(), http: l.Addr().String()}
	ws := simulator.DefaultWorkspace()
	config := fmt.Sprintf("[postgres]\nurl = %q\nslot = %q\n[state]\npath = \"state.db\"\n[http]\nlisten = %q\n[workspace.main]\nsite_id = %q\ntrack_api_key = %q\napp_api_key = %q\n%s\n",
		b.cluster.URL(""), name, i.http, ws.SiteID, ws.TrackKey, ws.AppKey, workspace) + fmt.Sprintf(benchPeople, backfill)
	if err := os.WriteFile(filepath.Join(i.dir, "pgcio.toml"), []byte(config), 0o600); err != nil {
		b.Fatal(err)
	}
	return i
}

// nowhere is a workspace that nothing can be sent to.
const nowhere = "track_url = \"http://127.0.0.1:1\"\napp_url = \"http://127.0.0.1:1\""

func (b *bench) reachable() string {
	return fmt.Sprintf("track_url = %q\napp_url = %q", b.url, b.url)
}

func (i *instance) command(args ...string) *exec.Cmd {
	cmd := exec.CommandContext(i.b.Context(), i.b.binary, args...)
	cmd.Dir = i.dir
	return cmd
}

func (i *instance) setup() {
	if out, err := i.command("setup").CombinedOutput(); err != nil {
		i.b.Fatalf("pgcio setup: %v\n%s", err, out)
	}
}

// run starts the daemon and returns how to end it, and the most anonymous
// memory it had (RssAnon: VmRSS counts the state file's page cache).
func (i *instance) run() (end func() (peak int64)) {
	cmd := i.command("run", "--log-level", "error")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		i.b.Fatal(err)
	}
	stop := make(chan struct{})
	peak := make(chan int64)
	go func() {
		most := int64(0)
		for {
			select {
			case <-stop:
				peak <- most
				return
			case <-time.After(10 * time.Millisecond):
				most = max(most, rssAnon(cmd.Process.Pid))
			}
		}
	}()
	return func() int64 {
		close(stop)
		most := <-peak
		_ = cmd.Process.Signal(os.Interrupt)
		if err := cmd.Wait(); err != nil {
			i.b.Errorf("pgcio run: %v\n%s", err, out.String())
		}
		i.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
		return most
	}
}

func rssAnon(pid int) int64 {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, "RssAnon:"); ok {
			kb, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kb << 10
		}
	}
	return 0
}

// status asks over HTTP: a process for each look would take what is measured.
func (i *instance) status() (s status.Snapshot, ok bool) {
	res, err := http.Get("http://" + i.http + "/api/status")
	if err != nil {
		return s, false // not up yet
	}
	defer func() { _ = res.Body.Close() }()
	return s, json.NewDecoder(res.Body).Decode(&s) == nil
}

func (i *instance) until(what string, done func(status.Snapshot) bool) {
	i.b.Helper()
	deadline := time.Now().Add(15 * time.Minute)
	for time.Now().Before(deadline) {
		if s, ok := i.status(); ok && done(s) {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	s, _ := i.status()
	i.b.Fatalf("%s: not within 15 minutes: %+v", what, s)
}

func (b *bench) users(table, key string, rows int) {
	b.sql(fmt.Sprintf(`CREATE TABLE %s (id %s PRIMARY KEY, email text, name text, plan text, visits bigint, city text, updated_at timestamptz)`, table, key))
	id := "i"
	if key == "uuid" {
		id = "md5(i::text)::uuid"
	}
	b.sql(fmt.Sprintf(`INSERT INTO %s SELECT %s, 'user' || i || '@example.com', 'User Number ' || i, 'free', 0, 'Springfield', now() FROM generate_series(1, %d) i`, table, id, rows))
}

// TestBenchThroughput compares, on one backlog of updates, pg_recvlogical,
// decoding alone, and the whole path to the durable outbox.
func TestBenchThroughput(t *testing.T) {
	b := newBench(t)
	people, updates := scale(100_000), scale(1_000_000)
	b.users("users", "bigint", people)
	rounds := benchSetting("PGCIO_BENCH_ROUNDS", 3)
	var whole []*instance
	for n := range rounds {
		i := b.instance(fmt.Sprintf("whole_%d", n), nowhere, false)
		i.setup()
		whole = append(whole, i)
	}
	b.sql(`SELECT pg_create_logical_replication_slot('base', 'pgoutput')`)
	b.sql(`CREATE PROCEDURE backlog(transactions int, people int) LANGUAGE plpgsql AS $$
		BEGIN FOR t IN 1..transactions LOOP
			UPDATE users SET visits = visits + 1, plan = CASE WHEN random() < 0.5 THEN 'free' ELSE 'pro' END, updated_at = now()
			WHERE id IN (SELECT DISTINCT 1 + floor(random() * people)::bigint FROM generate_series(1, 1000));
			COMMIT;
		END LOOP; END $$`)
	b.sql(fmt.Sprintf(`CALL backlog(%d, %d)`, updates/1000, people))
	end := b.flushed()
	changes := b.value(`SELECT sum(visits) FROM users`)
	total, _ := strconv.ParseFloat(changes, 64)
	b.Logf("backlog: %s changes of %d people, %s", changes, people, b.value(`SELECT pg_size_pretty(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)) FROM pg_replication_slots WHERE slot_name = 'base'`))

	var recv, decode, outbox []float64
	var peak int64
	for n := range rounds {
		if r := b.recvlogical(n, end); r > 0 {
			recv = append(recv, total/r.Seconds())
		}
		decode = append(decode, total/b.decode(n, end).Seconds())
		took, most := b.outbox(whole[n], end)
		outbox = append(outbox, total/took.Seconds())
		b.Logf("to the durable outbox %.1f µs of CPU a change", whole[n].cpu.Seconds()*1e6/total)
		peak = max(peak, most)
	}
	b.Logf("pg_recvlogical        %s changes/s", rates(recv))
	b.Logf("decoding alone        %s changes/s%s", rates(decode), ratio(decode, recv, 0.95))
	b.Logf("to the durable outbox %s changes/s%s", rates(outbox), ratio(outbox, recv, 0.7))
	b.Logf("peak RssAnon          %d MB (aim at most 128)", peak>>20)

	// One transaction of as many rows.
	i := b.instance("huge", nowhere, false)
	i.setup()
	b.sql(fmt.Sprintf(`DO $$ BEGIN FOR t IN 1..%d LOOP UPDATE users SET visits = visits + 1, updated_at = clock_timestamp(); END LOOP; END $$`, max(1, updates/people)))
	end = b.flushed()
	took, most := b.outbox(i, end)
	b.Logf("one transaction of %d rows: %.0f changes/s, peak RssAnon %d MB (aim at most 128)", updates, float64(updates)/took.Seconds(), most>>20)
}

func rates(r []float64) string {
	if len(r) == 0 {
		return "not measured (this installation has no pg_recvlogical)"
	}
	s := slices.Sorted(slices.Values(r))
	return fmt.Sprintf("median %.0f (%.0f to %.0f)", s[len(s)/2], s[0], s[len(s)-1])
}

// ratio compares run by run: what ran next to each other saw the same machine.
func ratio(a, b []float64, aim float64) string {
	if len(b) != len(a) {
		return ""
	}
	r := make([]float64, len(a))
	for i := range a {
		r[i] = a[i] / b[i]
	}
	slices.Sort(r)
	return fmt.Sprintf(", ratio median %.2f (%.2f to %.2f; aim at least %.2f)", r[len(r)/2], r[0], r[len(r)-1], aim)
}

func (b *bench) copySlot(name string) {
	b.sql(`SELECT pg_copy_logical_replication_slot('base', $1)`, name)
}

func (b *bench) recvlogical(n int, end string) time.Duration {
	binary, ok := b.cluster.Bin("pg_recvlogical")
	if !ok {
		return 0
	}
	slot := fmt.Sprintf("recv_%d", n)
	b.copySlot(slot)
	cmd := exec.CommandContext(b.Context(), binary, "-d", b.cluster.URL(""), "-S", slot, "--start", "-f", "/dev/null", "-n", "-E", end,
		"-o", "proto_version=1", "-o", "publication_names=pgcio")
	start := time.Now()
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("pg_recvlogical: %v\n%s", err, out)
	}
	return time.Since(start)
}

// decode reads the backlog with cdc alone.
func (b *bench) decode(n int, end string) time.Duration {
	slot := fmt.Sprintf("decode_%d", n)
	b.copySlot(slot)
	at, err := lsn.Parse(b.value(`SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = '` + slot + `'`))
	if err != nil {
		b.Fatal(err)
	}
	until, err := lsn.Parse(end)
	if err != nil {
		b.Fatal(err)
	}
	cfg := cdc.Config{URL: b.cluster.URL(""), Publication: "pgcio", Slot: slot, Tables: []string{"public.users"}, Logger: slog.New(slog.DiscardHandler)}
	who := b.sql(`SELECT s.system_identifier, c.timeline_id, current_database() FROM pg_control_system() s, pg_control_checkpoint() c`)[0]
	timeline, _ := strconv.Atoi(who[1])
	id := cdc.Identity{SystemID: who[0], Timeline: int32(timeline), Database: who[2], Slot: slot, Publication: "pgcio"}
	source := cdc.New(cfg)
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	start := time.Now()
	go func() { ended <- source.Run(ctx, cdc.Resume{Identity: id, Stored: at}) }()
	for {
		batch, err := source.Next(ctx)
		if err != nil {
			b.Fatal(err)
		}
		through := batch.Through
		source.Release(batch)
		if through != 0 {
			source.Stored(through)
		}
		if through >= until {
			break
		}
	}
	took := time.Since(start)
	cancel()
	<-ended
	return took
}

// outbox runs the daemon until the state is at end.
func (b *bench) outbox(i *instance, end string) (time.Duration, int64) {
	until, err := lsn.Parse(end)
	if err != nil {
		b.Fatal(err)
	}
	start := time.Now()
	stop := i.run()
	i.until("storing the backlog", func(s status.Snapshot) bool {
		at, err := lsn.Parse(fmt.Sprint(s.Postgres.Stored))
		return err == nil && at >= until
	})
	took := time.Since(start)
	return took, stop()
}

// TestBenchLatency measures from commit to receipt at 200 changes a second
// spread over 100,000 people.
func TestBenchLatency(t *testing.T) {
	b := newBench(t)
	b.customerio(func(*simulator.Settings) {})
	people := scale(100_000)
	b.users("users", "bigint", people)
	i := b.instance("latency", b.reachable(), false)
	i.setup()
	stop := i.run()
	defer stop()
	i.until("streaming", func(s status.Snapshot) bool { return s.State == "streaming" })
	session, err := b.cluster.Connect(b.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = session.Close(context.Background()) }()
	// Asynchronous commits reach the log, and so us, only when Postgres gets round
	// to writing it.
	if err := session.Exec(b.Context(), `SET synchronous_commit = on`); err != nil {
		t.Fatal(err)
	}
	const seconds, rate = 30, 200
	committed := map[string]time.Time{}
	tick := time.NewTicker(time.Second / rate)
	defer tick.Stop()
	for n := range seconds * rate {
		<-tick.C
		// A stride that is prime to the number of people meets each once.
		id := strconv.Itoa(1 + n*7919%people)
		at := time.Now() // before the commit, so that nothing is flattered
		if err := session.Exec(b.Context(), `UPDATE users SET visits = visits + 1, updated_at = clock_timestamp() WHERE id = $1::bigint`, id); err != nil {
			t.Fatal(err)
		}
		committed[id] = at
	}
	i.until("caught up", func(s status.Snapshot) bool { return s.CaughtUp })
	var took []time.Duration
	for _, a := range b.sim.Accepted("") {
		for _, name := range a.Names() {
			if at, ok := committed[strings.TrimPrefix(name, "id:")]; ok && strings.HasPrefix(name, "id:") {
				took = append(took, a.At.Sub(at))
			}
		}
	}
	slices.Sort(took)
	if len(took) < len(committed) {
		t.Fatalf("%d of %d changes were received", len(took), len(committed))
	}
	b.Logf("commit to receipt at %d changes/s over %d people, %d changes: p50 %v (aim 15ms), p99 %v (aim 100ms), most %v",
		rate, people, len(took), took[len(took)/2].Round(10*time.Microsecond), took[len(took)*99/100].Round(10*time.Microsecond), took[len(took)-1].Round(10*time.Microsecond))
}

// TestBenchPace measures how many of the permitted requests are used while a
// backlog is drained.
func TestBenchPace(t *testing.T) {
	b := newBench(t)
	b.customerio(func(s *simulator.Settings) {
		s.TrackPerSecond, s.ReplyDelay = 100, simulator.Duration(200*time.Millisecond)
	})
	b.users("users", "bigint", scale(200_000))
	// Two operations a request at most keep the backlog there for the whole time.
	i := b.instance("pace", b.reachable()+"\ntrack_requests_per_second = 100\ntrack_items_per_second = 400", true)
	i.setup()
	stop := i.run()
	defer stop()
	i.until("a backlog", func(s status.Snapshot) bool {
		return len(s.Mappings) > 0 && int(s.Mappings[0].Changes.Waiting) > scale(100_000)
	})
	const seconds = 20
	before := b.sim.State("").Counters
	time.Sleep(seconds * time.Second)
	after := b.sim.State("").Counters
	b.Logf("requests used in %d s: %.1f %% of those permitted (aim 98), %d answered 429 (aim 0), peak %d in a second",
		seconds, 100*float64(after.OK-before.OK)/(100*seconds), after.Limited, after.PeakTrackPerSecond)
}

// TestBenchBackfill compares reading a table into the outbox with COPY.
func TestBenchBackfill(t *testing.T) {
	rows := scale(1_000_000)
	for _, key := range []string{"bigint", "uuid"} {
		t.Run(key, func(t *testing.T) {
			b := newBench(t)
			b.users("users", key, rows)
			b.sql(`ANALYZE users`)
			var copied, filled []float64
			for n := range benchSetting("PGCIO_BENCH_ROUNDS", 3) {
				start := time.Now()
				out := exec.CommandContext(b.Context(), b.bin("psql"), "-d", b.cluster.URL(""), "-q", "-c", `COPY (SELECT * FROM users) TO STDOUT`)
				if err := out.Run(); err != nil {
					t.Fatalf("psql: %v", err)
				}
				copied = append(copied, float64(rows)/time.Since(start).Seconds())
				i := b.instance(fmt.Sprintf("fill_%d", n), nowhere, true)
				i.setup()
				start = time.Now()
				stop := i.run()
				i.until("the backfill", func(s status.Snapshot) bool {
					return len(s.Mappings) > 0 && int(s.Mappings[0].Changes.Received) >= rows
				})
				filled = append(filled, float64(rows)/time.Since(start).Seconds())
				peak := stop()
				b.Logf("peak RssAnon %d MB", peak>>20)
			}
			b.Logf("%s key: COPY %s rows/s, backfill %s rows/s%s", key, rates(copied), rates(filled), ratio(filled, copied, 0.2))
		})
	}
}

func (b *bench) bin(name string) string {
	binary, ok := b.cluster.Bin(name)
	if !ok {
		b.Fatalf("this installation of Postgres has no %s: install the server's client programs", name)
	}
	return binary
}
