package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/pgcio/pgcio/internal/status"
)

// watchInterval is how often `status --watch` looks again.
const watchInterval = time.Second

func (a *app) statusCommand() *cobra.Command {
	var asJSON, watch bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "show what the daemon is doing, and the books of every mapping",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			show := status.Snapshot.WriteTable
			if asJSON {
				show = status.Snapshot.WriteJSON
			}
			if !watch {
				s, err := a.currentStatus(cmd.Context())
				if err != nil {
					return err
				}
				return show(s, a.stdout)
			}
			return a.watchStatus(cmd.Context(), show)
		},
	}
	jsonFlag(cmd, &asJSON)
	cmd.Flags().BoolVar(&watch, "watch", false, "show it again every second")
	return cmd
}

func (a *app) currentStatus(ctx context.Context) (s status.Snapshot, err error) {
	err = a.ask(ctx, "/status", nil, &s, func(d *desk) error {
		s = d.snapshot()
		return nil
	})
	return s, err
}

// watchStatus shows the status until ctx ends: in place on a terminal.
func (a *app) watchStatus(ctx context.Context, show func(status.Snapshot, io.Writer) error) error {
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	for {
		s, err := a.currentStatus(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if isTerminal(a.stdout) {
			fmt.Fprint(a.stdout, "\x1b[H\x1b[2J")
		}
		if err := show(s, a.stdout); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
