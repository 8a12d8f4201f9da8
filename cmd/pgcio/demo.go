package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
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
			"Ctrl-C, or $" + envDemoSeconds + ", ends it and leaves nothing behind.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var limit time.Duration // 0: until it is interrupted
			if text := a.env(envDemoSeconds); text != "" {
				n, err := strconv.ParseFloat(text, 64)
				if err != nil || n <= 0 {
					return usagef("$%s is %q: it is a number of seconds", envDemoSeconds, text)
				}
				limit = time.Duration(n * float64(time.Second))
			}
			return a.demo(cmd.Context(), limit)
		},
	}
}

// demo runs until ctx ends, which is how it is meant to end, or for limit after
// everything has been started.
func (a *app) demo(ctx context.Context, limit time.Duration) (err error) {
	log, err := newLogger(a.console, "warn", a.logFormat)
	if err != nil {
		return err
	}
	end := &shutdown{log: log}
	defer func() { err = errors.Join(err, end.run()) }()

	dir, err := os.MkdirTemp("", "pgcio-demo-")
	if err != nil {
		return fmt.Errorf("making the demo's directory: %w", err)
	}
	end.then("demo's directory", func() error { return os.RemoveAll(dir) })

	fmt.Fprintln(a.stdout, "starting a throwaway Postgres (it is fetched first where there is none) …")
	cluster, err := pgtest.Start(ctx, pgtest.Options{})
	if err != nil {
		return interrupted(ctx, err)
	}
	end.then("throwaway Postgres", func() error { return errors.Join(cluster.Close(), pgtest.Shutdown()) })

	fmt.Fprintln(a.stdout, "filling a shop with 2000 people and 3000 orders …")
	shop, err := openShop(ctx, cluster.URL(""))
	if err != nil {
		return interrupted(ctx, err)
	}
	end.then("shop's connection", shop.close)

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
		customerio, cfg.http.listen, cfg.http.listen, cluster.URL(""))

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
	g.Go(func() error { return sim.Serve(running, listener) })
	g.Go(func() error {
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

// interrupted makes of an error that ctx has caused no error at all: the user
// ended the demo before it began.
func interrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// demoConfig is the demo's configuration, read as any other.
func demoConfig(dir, url string, ws simulator.Workspace, customerio string) (*config, error) {
	status, err := listenNear("127.0.0.1:7464")
	if err != nil {
		return nil, fmt.Errorf("finding a port for the status: %w", err)
	}
	address := status.Addr().String()
	if err := status.Close(); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "[postgres]\nurl = %q\n\n[state]\npath = %q\n\n[http]\nlisten = %q\n\n", url, filepath.Join(dir, "state.db"), address)
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
