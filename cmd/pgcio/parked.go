package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/url"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/pgcio/pgcio/state"
)

func (a *app) parkedCommand() *cobra.Command {
	return subcommands(&cobra.Command{
		Use:   "parked",
		Short: "see, retry or drop what was refused or is invalid",
	}, a.parkedListCommand(), a.parkedShowCommand(), a.parkedRetryCommand(), a.parkedDropCommand())
}

func (a *app) parkedListCommand() *cobra.Command {
	var orphaned, asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "list the entries, oldest first",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var list asideList
			query := url.Values{}
			if orphaned {
				query.Set("orphaned", "1")
			}
			err := a.ask(cmd.Context(), "/parked", query, &list, func(d *desk) (err error) {
				list, err = d.list(orphaned)
				return err
			})
			if err != nil {
				return err
			}
			if list.Cut {
				fmt.Fprintf(a.stderr, "of a mapping only the oldest %d are listed; `pgcio status` says how many changes there are\n", listLimit)
			}
			if asJSON {
				return writeJSON(a.stdout, list.Entries)
			}
			if len(list.Entries) == 0 {
				what := "parked"
				if orphaned {
					what = "orphaned"
				}
				_, err := fmt.Fprintf(a.stderr, "nothing is %s\n", what)
				return err
			}
			return writeAsides(a.stdout, list.Entries)
		},
	}
	cmd.Flags().BoolVar(&orphaned, "orphaned", false, "what waits for a person or object that is not there yet")
	jsonFlag(cmd, &asJSON)
	return cmd
}

func (a *app) parkedShowCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "show ID",
		Short: "show one entry, with what would be sent",
		Args:  arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ids, err := entryIDs(args)
			if err != nil {
				return err
			}
			var e state.Aside
			err = a.ask(cmd.Context(), "/parked/"+args[0], nil, &e, func(d *desk) (err error) {
				e, err = d.show(ids[0])
				return err
			})
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(a.stdout, e)
			}
			_, err = fmt.Fprintf(a.stdout, "id       %d\nmapping  %s\nthing    %s\nstatus   %s\nsince    %s\nchanges  %d\nreason   %s\npayload  %s\n",
				e.ID, e.Mapping, e.Thing, e.Status, e.Since.Format(time.RFC3339), e.Changes, e.Reason, payload(e))
			return err
		},
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}

func (a *app) parkedRetryCommand() *cobra.Command {
	var s selection
	cmd := &cobra.Command{
		Use:   "retry [ID…]",
		Short: "let entries wait to be sent again",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.settleParked(cmd.Context(), "/parked/retry", "to be tried again", s, args)
		},
	}
	cmd.Flags().BoolVar(&s.All, "all", false, "every entry")
	cmd.Flags().StringVar(&s.Mapping, "mapping", "", "every entry of `MAPPING`")
	return cmd
}

func (a *app) parkedDropCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "drop ID…",
		Short: "give entries up",
		Args:  arguments(1, math.MaxInt),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.settleParked(cmd.Context(), "/parked/drop", "given up", selection{}, args)
		},
	}
}

// settleParked asks the daemon to retry or drop: only it may change the state.
func (a *app) settleParked(ctx context.Context, path, done string, s selection, args []string) (err error) {
	if s.IDs, err = entryIDs(args); err != nil {
		return err
	}
	if err := s.check(); err != nil {
		return err
	}
	where, err := a.loadState()
	if err != nil {
		return err
	}
	var n int
	if err := newControlClient(where.socket()).call(ctx, path, nil, s, &n); err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.stdout, "%s %s\n", plural(n, "entry", "entries"), done)
	return err
}

func entryIDs(args []string) ([]uint64, error) {
	var ids []uint64
	for _, arg := range args {
		id, err := strconv.ParseUint(arg, 10, 64)
		if err != nil {
			return nil, usagef("%q is no entry's id: `pgcio parked list` shows them", arg)
		}
		ids = append(ids, id)
	}
	return ids, nil
}

func writeAsides(w io.Writer, list []state.Aside) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "id\tmapping\tthing\tchanges\tsince\treason")
	for _, e := range list {
		fmt.Fprintf(tw, "%d\t%s\t%s\t%d\t%s\t%s\n", e.ID, e.Mapping, e.Thing, e.Changes, e.Since.Format(time.RFC3339), oneLine(e.Reason))
	}
	return tw.Flush()
}

// payload is what would be sent, or why that is not known.
func payload(e state.Aside) string {
	if e.Refetch {
		return "- (not kept, too many entries of the mapping are set aside; `pgcio parked retry` reads the row again)"
	}
	return orDash(e.Payload)
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func jsonFlag(cmd *cobra.Command, on *bool) {
	cmd.Flags().BoolVar(on, "json", false, "print JSON")
}

func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// ask asks the daemon for something, or, when none runs, the state file.
func (a *app) ask(ctx context.Context, path string, query url.Values, into any, offline func(*desk) error) error {
	where, err := a.loadState()
	if err != nil {
		return err
	}
	err = newControlClient(where.socket()).call(ctx, path, query, nil, into)
	if !errors.Is(err, errNoDaemon) {
		return err
	}
	cfg, err := a.loadUnconnected()
	if err != nil {
		return err
	}
	d, done, err := offlineDesk(ctx, cfg)
	if err != nil {
		return err
	}
	return errors.Join(offline(d), done())
}
