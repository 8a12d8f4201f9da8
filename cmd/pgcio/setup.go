package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/pgcio/pgcio/cdc"
	"github.com/pgcio/pgcio/state"
)

func (a *app) setupCommand() *cobra.Command {
	var print bool
	var url string
	cmd := &cobra.Command{
		Use:   "setup",
		Short: "create the publication, the slot and the state file that belongs to it",
		Long: "Create the publication, the slot and the state file that belongs to it; run it as the daemon's user.\n" +
			"The first `pgcio run` does the same.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := a.loadConfig()
			if err != nil {
				return err
			}
			source := cfg.source(a.log)
			if url != "" {
				source.URL = url
			}
			if print {
				// The role is the daemon's, whoever looks at the tables now.
				_, err := fmt.Fprint(a.stdout, cdc.SetupSQL(cfg.source(a.log), mappedColumns(cfg, source, cmd)))
				return err
			}
			source.Manage = true // it is what this command is for
			return a.setup(cmd, cfg, source)
		},
	}
	cmd.Flags().BoolVar(&print, "print", false, "print the SQL for role, grants and publication instead")
	cmd.Flags().StringVar(&url, "url", "", "connect as another role, with this `URL`")
	return cmd
}

func (a *app) setup(cmd *cobra.Command, cfg *config, source cdc.Config) (err error) {
	ctx := cmd.Context()
	if _, _, err := compile(ctx, cfg, source); err != nil {
		return err
	}
	store, err := state.Open(ctx, cfg.stateOptions(source.Logger))
	if err != nil {
		return fmt.Errorf("opening the state: %w", err)
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	known := store.Source().Known()
	from, err := resume(ctx, store, source, source.Logger)
	if err != nil {
		return err
	}
	if known {
		there, err := cdc.Droppable(ctx, source)
		if err != nil {
			return err
		}
		if there.Slot == "" {
			return &cdc.GapError{
				Reason: fmt.Sprintf("replication slot %s is gone, and the state file %s belongs to it", source.Slot, cfg.state.path),
				From:   from.Stored,
				Advice: "move the state file aside, and run `pgcio setup` again: everything the tables hold is sent once more, and event ids keep events from being doubled",
			}
		}
		if _, err := cdc.Publish(ctx, source); err != nil {
			return err
		}
		_, err = fmt.Fprintf(a.stdout, "slot %s and its state file %s were there already\n", from.Identity.Slot, cfg.state.path)
		return err
	}
	_, err = fmt.Fprintf(a.stdout, "created publication %s, slot %s at %s and its state file %s\n",
		from.Identity.Publication, from.Identity.Slot, from.Stored, cfg.state.path)
	return err
}

// mappedColumns are the columns of each table that the mappings read, as far as
// the database can be asked; of others every column is granted.
func mappedColumns(cfg *config, source cdc.Config, cmd *cobra.Command) map[string][]string {
	mapper, _, err := compile(cmd.Context(), cfg, source)
	if err != nil {
		return nil // a database that is not set up yet may not let us in
	}
	return columnsByTable(mapper)
}
