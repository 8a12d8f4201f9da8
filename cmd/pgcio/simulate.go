package main

import (
	"fmt"
	"io"
	"net"
	"time"

	"github.com/spf13/cobra"

	"github.com/pgcio/pgcio/internal/simulator"
)

func (a *app) simulateCommand() *cobra.Command {
	var (
		listen       string
		latency, lag time.Duration
		identifiers  string
		perSecond    int
		errorPart    float64
		seed         uint64
	)
	cmd := &cobra.Command{
		Use:   "simulate",
		Short: "run a simulated Customer.io",
		Long: "Run a Customer.io of pgcio's own: as strict as the real one, with a page that shows what it holds.\n" +
			"It keeps all of it in memory, and forgets it when it ends.\n\n" +
			"What it holds, as JSON; what else can be set while it runs; how it fails:\n\n" +
			"  curl http://127.0.0.1:7465/_sim/state\n" +
			"  curl http://127.0.0.1:7465/_sim/settings\n" +
			"  curl http://127.0.0.1:7465/_sim/settings -d '{\"reply_delay\": \"200ms\"}'\n" +
			"  curl http://127.0.0.1:7465/_sim/faults -d '[{\"kind\": \"status\", \"status\": 429, \"retry_after\": 2, \"times\": 5}]'\n" +
			"  curl http://127.0.0.1:7465/_sim/faults -d '[]'",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			settings := simulator.DefaultSettings()
			settings.ReplyDelay = simulator.Duration(latency)
			settings.Lag = simulator.Duration(lag)
			settings.Identifiers = identifiers
			settings.TrackPerSecond = perSecond
			switch {
			case !isAddress(listen):
				return usagef("--listen %q: it is an address with a port, like 127.0.0.1:7465", listen)
			case latency < 0:
				return usagef("--latency %v: it is not below 0", latency)
			case lag < 0:
				return usagef("--lag %v: it is not below 0", lag)
			case perSecond < 0:
				return usagef("--requests-per-second %d: it is not below 0", perSecond)
			}
			if err := settings.Validate(); err != nil {
				return usageError{err}
			}
			if !(errorPart >= 0 && errorPart <= 1) { // nor is it NaN
				return usagef("--errors %v: it lies between 0 and 1", errorPart)
			}
			sim, ws, err := newSimulator(settings, seed)
			if err != nil {
				return err
			}
			defer sim.Close()
			if errorPart > 0 {
				if err := sim.SetFaults(simulator.Fault{Kind: "status", Status: 503, Probability: errorPart}); err != nil {
					return err
				}
			}
			l, err := net.Listen("tcp", listen)
			if err != nil {
				return fmt.Errorf("listening for the simulated Customer.io: %w; --listen names another address", err)
			}
			base := "http://" + l.Addr().String()
			fmt.Fprintf(a.stdout, "# a simulated Customer.io; %s/ shows what it holds\n# In a configuration, this leads to it:\n", base)
			if err := writeWorkspace(a.stdout, ws, base); err != nil {
				return err
			}
			return sim.Serve(cmd.Context(), l)
		},
	}
	f := cmd.Flags()
	f.StringVar(&listen, "listen", "127.0.0.1:7465", "listen on `ADDRESS`")
	f.DurationVar(&latency, "latency", 0, "how long a reply takes")
	f.DurationVar(&lag, "lag", 0, "time from a reply to its being applied")
	f.StringVar(&identifiers, "identifiers", "id+email", "what identifies people: id, email or id+email")
	completeFlag(cmd, "identifiers", []string{"id", "email", "id+email"})
	f.IntVar(&perSecond, "requests-per-second", 0, "Track requests let through in a second; 0: no limit")
	f.Float64Var(&errorPart, "errors", 0, "answer this `PART` of the requests 503, from 0 to 1")
	f.Uint64Var(&seed, "seed", 1, "decides what is random")
	return cmd
}

// newSimulator makes a simulator with one workspace.
func newSimulator(settings simulator.Settings, seed uint64) (*simulator.Simulator, simulator.Workspace, error) {
	ws := simulator.DefaultWorkspace()
	ws.Settings = &settings
	sim, err := simulator.New(simulator.Options{Workspaces: []simulator.Workspace{ws}, Seed: seed})
	return sim, ws, err
}

// writeWorkspace writes the section of a configuration that leads to a
// simulated workspace. Its keys open nothing but the simulator.
func writeWorkspace(w io.Writer, ws simulator.Workspace, base string) error {
	_, err := fmt.Fprintf(w, `[workspace.%s]
region        = %q
site_id       = %q
track_api_key = %q
app_api_key   = %q
track_url     = %q
app_url       = %q
`, ws.Name, ws.Region, ws.SiteID, ws.TrackKey, ws.AppKey, base, base)
	return err
}
