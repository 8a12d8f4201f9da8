package main

import (
	"errors"
	"fmt"
	"strings"

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
			cfg, err := a.loadAgainst(cmd.Context())
			if err != nil {
				return err
			}
			source := cfg.source(a.log)
			if url != "" {
				source.URL = url
			}
			if print {
				// The role is the daemon's, whoever looks at the tables now.
				_, err := fmt.Fprint(a.stdout, cdc.SetupSQL(cmd.Context(), cfg.source(a.log), source, mappedColumns(cfg, source, cmd)))
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
	if err := sound(ctx, cfg, source); err != nil {
		return err
	}
	store, err := state.Open(ctx, cfg.stateOptions(source.Logger))
	if err != nil {
		return fmt.Errorf("opening the state: %w", err)
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	before, known := storedResume(store)
	if known {
		if err := cdc.Verify(ctx, source, before); err != nil {
			return err
		}
	}
	published, err := cdc.Publish(ctx, source)
	if err != nil {
		return err
	}
	from, err := resume(ctx, store, source, source.Logger)
	if err != nil {
		return err
	}
	slot := fmt.Sprintf("slot %s at %s and its state file %s", from.Identity.Slot, from.Stored, cfg.state.path)
	var text string
	switch added := strings.Join(published.Tables, ", "); {
	case known && added == "":
		text = fmt.Sprintf("slot %s and its state file %s were there already", from.Identity.Slot, cfg.state.path)
	case known:
		text = fmt.Sprintf("added %s to publication %s; the slot and the state file were there already", added, source.Publication)
	case published.Created:
		text = fmt.Sprintf("created publication %s, %s", source.Publication, slot)
	case added != "":
		text = fmt.Sprintf("added %s to publication %s, which was there already; created %s", added, source.Publication, slot)
	default:
		text = fmt.Sprintf("publication %s was there already; created %s", source.Publication, slot)
	}
	_, err = fmt.Fprintln(a.stdout, text)
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
