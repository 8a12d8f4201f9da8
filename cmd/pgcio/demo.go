package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/pgcio/pgcio/internal/pgtest"
	"github.com/pgcio/pgcio/internal/simulator"
)

// envDemoSeconds ends the demo after so many seconds of traffic.
const envDemoSeconds = "DEMO_SECONDS"

func (a *app) demoCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "demo",
		Short: "show everything on this machine: Postgres, Customer.io, traffic",
		Long: "Start a throwaway Postgres with a little shop in it, a simulated Customer.io and the daemon between them.\n" +
			"They listen on ports of 127.0.0.1: 7464 the daemon and 7465 Customer.io, or any others where those are taken.\n" +
			"Ctrl-C, or $" + envDemoSeconds + " seconds of traffic, ends it and leaves nothing behind.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var limit time.Duration // 0: until it is interrupted
			if text := a.env(envDemoSeconds); text != "" {
				n, err := strconv.ParseFloat(text, 64)
				if err != nil || !(n > 0 && n <= math.MaxInt32) {
					return usagef("$%s is %q: it is a number of seconds", envDemoSeconds, text)
				}
				limit = time.Duration(n * float64(time.Second))
			}
			level := "warn" // what the demo shows stands in the middle of it
			if cmd.Flags().Changed("log-level") {
				level = a.logLevel
			}
			log, err := newLogger(a.console, level, a.logFormat)
			if err != nil {
				return err
			}
			// A terminal that is closed ends it as Ctrl-C does.
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGHUP)
			defer stop()
			return a.demo(ctx, log, limit)
		},
	}
}

// demo runs until ctx ends, which is how it is meant to end, or for limit after
// everything has been started.
func (a *app) demo(ctx context.Context, log *slog.Logger, limit time.Duration) (err error) {
	end := &shutdown{log: log}
	defer func() { err = errors.Join(err, end.run()) }()
	end.then("demo's files", pgtest.Shutdown)

	fmt.Fprintln(a.stdout, "starting a throwaway Postgres (it is fetched first where there is none) …")
	cluster, err := pgtest.Start(ctx, pgtest.Options{AllowRunning: true})
	if err != nil {
		return interrupted(ctx, err)
	}
	end.then("throwaway Postgres", cluster.Close)
	// Beside Postgres' own files the state goes with them, also after a kill -9.
	dir, err := pgtest.TempDir()
	if err != nil {
		return fmt.Errorf("making the demo's directory: %w", err)
	}

	session, err := pgtest.Open(ctx, cluster.URL(""))
	if err != nil {
		return interrupted(ctx, err)
	}
	shop := newShop(session)
	end.then("shop's connection", shop.close)
	if cluster.Dir == "" { // a server that was there before
		if err := markDemo(ctx, session, cluster.Database); err != nil {
			return interrupted(ctx, err)
		}
		dropped, err := dropLeftovers(ctx, session)
		if err != nil {
			log.Warn("what earlier demos left stays until the next one", "error", err)
		}
		for _, name := range dropped {
			fmt.Fprintf(a.stdout, "dropped %s and its slot, which a demo that was killed had left\n", name)
		}
	}
	fmt.Fprintln(a.stdout, "filling a shop with 2000 people and 3000 orders …")
	if err := shop.open(ctx); err != nil {
		return interrupted(ctx, err)
	}

	sim, ws, err := newSimulator(simulator.DefaultSettings(), 1)
	if err != nil {
		return err
	}
	end.then("simulated Customer.io", func() error { sim.Close(); return nil })
	listener, err := listenNear("127.0.0.1:7465")
	if err != nil {
		return fmt.Errorf("listening for the simulated Customer.io: %w", err)
	}
	customerio := "http://" + listener.Addr().String()

	cfg, err := demoConfig(dir, cluster.URL(""), ws, customerio)
	if err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "\n  what Customer.io holds   %s/\n  pgcio's status           http://%s/api/status\n  pgcio's metrics          http://%s/metrics\n  the shop                 psql '%s'\n\n",
		customerio, cfg.http.listen, cfg.http.listen, showable(cluster))

	if limit > 0 {
		timed, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		ctx = timed
	}
	return a.demoTraffic(ctx, cfg, log, shop, sim, listener)
}

// demoTraffic runs the daemon and the shop, and shows what they do. The daemon
// outlives the traffic by a moment, so that what was traded arrives.
func (a *app) demoTraffic(ctx context.Context, cfg *config, log *slog.Logger, shop *shop, sim *simulator.Simulator, listener net.Listener) error {
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	trading, close := context.WithCancel(ctx)
	defer close()
	view := &demoView{console: a.console, shop: shop, sim: sim, daemon: newControlClient(cfg.state.socket())}
	var g errgroup.Group
	serving, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	g.Go(func() error {
		defer stop()
		return sim.Serve(serving, listener)
	})
	g.Go(func() error {
		defer end()  // the daemon has finished what it had in hand
		defer stop() // without a daemon there is nothing to show
		defer close()
		return a.daemon(running, cfg, daemonOptions{log: log})
	})
	g.Go(func() error {
		defer close()
		return shop.trade(trading)
	})
	g.Go(func() error {
		defer stop()
		view.follow(trading)
		view.finish(running)
		return nil
	})
	if err := g.Wait(); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// showable is the address of the demo's database. The password of a throwaway
// cluster is thrown away with it; that of a server which was there before is not
// ours to show.
func showable(cluster *pgtest.Cluster) string {
	address := cluster.URL("")
	if cluster.Dir != "" {
		return address
	}
	u, err := url.Parse(address)
	if err != nil {
		return hidden
	}
	if u.User != nil {
		u.User = url.User(u.User.Username())
	}
	query := u.Query()
	query.Del("password")
	u.RawQuery = query.Encode()
	return u.String()
}

// interrupted makes of an error that ctx has caused no error at all: the user
// ended the demo before it began.
func interrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// demoConfig is the demo's configuration, read as any other.
func demoConfig(dir, postgres string, ws simulator.Workspace, customerio string) (*config, error) {
	status, err := listenNear("127.0.0.1:7464")
	if err != nil {
		return nil, fmt.Errorf("finding a port for the status: %w", err)
	}
	address := status.Addr().String()
	if err := status.Close(); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	// A server that was there before may have a slot pgcio already.
	slot := "pgcio_demo_" + strings.ToLower(rand.Text()[:8])
	fmt.Fprintf(&b, "[postgres]\nurl = %q\nslot = %q\n\n[state]\npath = %q\n\n[http]\nlisten = %q\n\n",
		postgres, slot, filepath.Join(dir, "state.db"), address)
	if err := writeWorkspace(&b, ws, customerio); err != nil {
		return nil, err
	}
	b.WriteString("track_items_per_second = 0\n") // nobody counts them here
	b.WriteString(shopMappings)
	return parseConfig("the demo's configuration", b.Bytes(), os.LookupEnv)
}

// listenNear listens on an address, or on any port where that one is taken.
func listenNear(address string) (net.Listener, error) {
	if l, err := net.Listen("tcp", address); err == nil {
		return l, nil
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	return net.Listen("tcp", net.JoinHostPort(host, "0"))
}
