package main

import (
	"cmp"
	"context"
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
			if print {
				return a.printSetup(cmd.Context(), url)
			}
			cfg, err := a.loadAgainst(cmd.Context())
			if err != nil {
				return err
			}
			source := cfg.source(a.log)
			source.URL = cmp.Or(url, source.URL)
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
		return notOpened(err)
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
	from, err := resume(ctx, store, cfg.state.place(), source, source.Logger)
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

// printSetup writes the SQL for an administrator, who has the right to look at the
// tables and perhaps none to read Customer.io's secrets. Without the tables it
// writes what does not depend on them.
func (a *app) printSetup(ctx context.Context, url string) error {
	cfg, usual, err := a.loadUnsent(ctx, url)
	if err != nil {
		return err
	}
	role := cfg.source(a.log) // the daemon's, whoever looks at the tables now
	look := role
	look.URL = cmp.Or(url, look.URL)
	mapper, _, problems, unseen := compileFitting(ctx, cfg, look)
	if err := problems.Err(); err != nil {
		return err
	}
	var sql string
	if unseen == nil {
		sql, unseen = cdc.SetupSQL(ctx, role, look, columnsByTable(mapper))
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if unseen != nil {
		sql = cdc.SetupUnseen(role, unseen)
	}
	if usual {
		sql = "-- postgres.url cannot be read here: the role is taken to be " + usualRole + ".\n" + sql
	}
	if _, err := fmt.Fprint(a.stdout, sql); err != nil {
		return err
	}
	if unseen != nil {
		// What went wrong is no fault of the configuration's, whatever its kind is
		// elsewhere: %v hides it.
		return fmt.Errorf("the tables could not be looked at, and only a part of the SQL is printed: %v", unseen)
	}
	return nil
}
