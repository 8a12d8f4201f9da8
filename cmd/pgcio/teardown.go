package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pgcio/pgcio/cdc"
	"github.com/pgcio/pgcio/internal/status"
)

func (a *app) teardownCommand() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "teardown",
		Short: "drop the slot, and the publication if pgcio made it",
		Long: "Drop the slot, and the publication if pgcio made it and its role owns it. It says how much WAL the slot\n" +
			"was holding, and asks before it drops anything, unless --yes is given.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := a.loadConfig()
			if err != nil {
				return err
			}
			ctx, source := cmd.Context(), cfg.source(a.log)
			there, err := cdc.Droppable(ctx, source)
			if err != nil {
				return err
			}
			if there.Slot == "" && there.Publication == "" {
				if there.Left != "" {
					_, err := fmt.Fprintf(a.stdout, "there is no slot %s\n%s\n", source.Slot, describeLeft(there))
					return err
				}
				_, err := fmt.Fprintf(a.stdout, "there is no slot %s, and no publication that pgcio made\n", source.Slot)
				return err
			}
			if err := idle(ctx, cfg, there); err != nil {
				return err
			}
			if !yes {
				if !isTerminal(a.stdin) {
					return usagef("%s: nobody can be asked here; say --yes", describeDrop(there, "would be dropped"))
				}
				agreed, err := a.confirm(describeDrop(there, "will be dropped") + ". Changes after that are not kept for pgcio. Go on?")
				if err != nil || !agreed {
					return err
				}
			}
			dropped, err := cdc.Teardown(ctx, source)
			if dropped.Slot != "" || dropped.Publication != "" {
				fmt.Fprintln(a.stdout, describeDrop(dropped, "dropped"))
			}
			if err == nil && dropped.Left != "" {
				fmt.Fprintln(a.stdout, describeLeft(dropped))
			}
			if _, missing := os.Stat(cfg.state.path); err == nil && dropped.Slot != "" && missing == nil {
				fmt.Fprintf(a.stdout, "the state file %s belongs to no slot now: move it aside before the next start\n", cfg.state.path)
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

// idle refuses to take the slot from a daemon that runs. Whoever else reads it is
// seen when it is dropped.
func idle(ctx context.Context, cfg *config, there cdc.Dropped) error {
	var s status.Snapshot
	if newControlClient(cfg.state.socket()).call(ctx, "/status", nil, nil, &s) != nil {
		return nil
	}
	by := ""
	if there.ReadBy != 0 {
		by = fmt.Sprintf(" (server process %d)", there.ReadBy)
	}
	return fmt.Errorf("the daemon is running and follows slot %s%s; stop it first (systemctl stop pgcio, or end `pgcio run`), then run this again", s.Postgres.Slot, by)
}

// describeLeft says what stays, and who can drop it.
func describeLeft(d cdc.Dropped) string {
	if d.LeftFor != nil {
		return fmt.Sprintf("publication %s stays: slot %s of this database may be read through it; when it is not, drop it with: %s", d.Left, strings.Join(d.LeftFor, ", "), d.LeftSQL)
	}
	return fmt.Sprintf("publication %s stays: it belongs to another role, which drops it with: %s", d.Left, d.LeftSQL)
}

// describeDrop is "slot pgcio, which held 16.0MB of WAL, and publication pgcio: dropped".
func describeDrop(d cdc.Dropped, what string) string {
	var text string
	if d.Slot != "" {
		text = fmt.Sprintf("slot %s, which held %s of WAL", d.Slot, status.Bytes(d.HeldBytes))
	}
	if d.Publication != "" {
		if text != "" {
			text += ", and "
		}
		text += "publication " + d.Publication
	}
	return text + " " + what
}
