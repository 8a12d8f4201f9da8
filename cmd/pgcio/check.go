package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/time/rate"

	"github.com/pgcio/pgcio/cdc"
	"github.com/pgcio/pgcio/internal/customerio"
	"github.com/pgcio/pgcio/internal/strict"
	"github.com/pgcio/pgcio/mapping"
	"github.com/pgcio/pgcio/sink"
)

// finding is one thing that check has found, with what to do about it.
type finding struct {
	Severity string `json:"severity"` // ok, warning, error
	Subject  string `json:"subject"`
	Message  string `json:"message"`
	Fix      string `json:"fix,omitempty"`
}

const (
	fine    = "ok"
	warning = "warning"
	failure = "error"
)

// checkTimeout bounds the whole of it: an unreachable host must become a
// finding.
const checkTimeout = time.Minute

func (a *app) checkCommand() *cobra.Command {
	var offline, asJSON bool
	cmd := &cobra.Command{
		Use:   "check",
		Short: "validate configuration, database and credentials; print every finding with its fix",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			load := a.loadAgainst
			if offline {
				load = func(context.Context) (*config, error) { return a.loadConfig() }
			}
			cfg, problems := load(cmd.Context())
			found := problemFindings(problems)
			switch {
			case problems != nil && found == nil: // there is no file to look at
				return problems
			case problems != nil:
			case offline:
				found = []finding{sane(cfg)}
			default:
				ctx, cancel := context.WithTimeout(cmd.Context(), checkTimeout)
				defer cancel()
				kept, fromState := checkState(ctx, cfg)
				fromDatabase, unsuited, err := a.checkDatabase(ctx, cfg, kept.source)
				if err != nil {
					return err
				}
				problems, found = unsuited, problemFindings(unsuited)
				if found == nil {
					found = []finding{sane(cfg)}
				}
				found = slices.Concat(found, fromState, fromDatabase, checkWorkspaces(ctx, cfg, kept.workspaces))
			}
			write := writeFindings
			if asJSON {
				write = func(w io.Writer, found []finding) error { return writeJSON(w, found) }
			}
			if err := write(a.stdout, found); err != nil {
				return err
			}
			if problems != nil {
				return problems
			}
			if slices.ContainsFunc(found, func(f finding) bool { return f.Severity == failure }) {
				return errFindings
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&offline, "offline", false, "look at the configuration only")
	jsonFlag(cmd, &asJSON)
	return cmd
}

// sane says that nothing is wrong with the configuration itself.
func sane(cfg *config) finding {
	return finding{fine, "configuration", fmt.Sprintf("%s has no problems", cfg.file), ""}
}

// problemFindings are a configuration's problems as findings; none, where the
// error is another one.
func problemFindings(err error) (found []finding) {
	var problems strict.Problems
	if !errors.As(err, &problems) {
		return nil
	}
	for _, p := range problems {
		fix := p.Suggestion
		p.Suggestion = ""
		found = append(found, finding{failure, "configuration", p.String(), fix})
	}
	return found
}

// checkDatabase looks at the database. Problems are what is wrong with the
// mappings against it; one that does not fit keeps no other from being looked at.
func (a *app) checkDatabase(ctx context.Context, cfg *config, kept cdc.Kept) (found []finding, problems, err error) {
	source := cfg.source(a.log)
	mapper, _, unsuited, unseen := compileFitting(ctx, cfg, source)
	columns := map[string][]string{}
	if mapper != nil {
		columns = columnsByTable(mapper)
	}
	// Where the database cannot be asked, Inspect says it better.
	if problems = unsuited.Err(); unseen != nil && exitStatus(unseen) == exitUsage {
		problems = unseen
	}
	inspected, err := cdc.Inspect(ctx, source, columns, kept)
	if err != nil {
		return nil, nil, fmt.Errorf("looking at the database: %w", err)
	}
	for _, f := range inspected {
		found = append(found, finding{f.Severity.String(), f.Subject, f.Problem, f.Fix})
	}
	if mapper != nil {
		for _, h := range mapper.Hints() {
			found = append(found, finding{warning, "mapping " + h.Mapping, h.Message, h.Fix})
		}
	}
	return found, problems, nil
}

// columnsByTable are the columns of each table that the mappings read.
func columnsByTable(mapper *mapping.Mapper) map[string][]string {
	columns := map[string][]string{}
	for _, m := range mapper.Mappings() {
		all := slices.Concat(columns[m.Table], m.Columns)
		slices.Sort(all)
		columns[m.Table] = slices.Compact(all)
	}
	return columns
}

// checkWorkspaces asks every workspace who it is, and whether it accepts the
// identifiers that the mappings use. kept are those that the state has sent to.
func checkWorkspaces(ctx context.Context, cfg *config, kept []keptWorkspace) (found []finding) {
	for i := range cfg.workspaces {
		w := &cfg.workspaces[i]
		subject := "workspace " + w.name
		for _, u := range []string{w.trackURL, w.appURL} {
			if exposed(u) {
				found = append(found, finding{warning, subject, u + ": credentials and people's data cross the network unencrypted", "use https"})
			}
		}
		c := w.sink(i, nil)
		s := sink.New(c)
		region, err := s.Region(ctx)
		var before keptWorkspace
		if kept != nil {
			before = kept[i]
		}
		switch {
		case sink.Refused(err):
			found = append(found, finding{failure, subject, err.Error(),
				fmt.Sprintf("correct site_id, track_api_key and region in [workspace.%s]", w.name)})
			continue
		case err != nil:
			found = append(found, finding{failure, subject, fmt.Sprintf("asking %s: %v", c.TrackURL, err), unreachable(c.TrackURL, err)})
			continue
		case region.Region != "" && region.Region != w.region:
			found = append(found, finding{failure, subject, fmt.Sprintf("it is in region %s, the configuration says %s", region.Region, w.region),
				fmt.Sprintf("[workspace.%s] region = %q", w.name, region.Region)})
		case w.id != 0 && w.id != region.Environment:
			found = append(found, finding{failure, subject, fmt.Sprintf("its id is %d, pinned is %d", region.Environment, w.id),
				"correct its credentials, or id"})
		case before.environment != 0 && (before.environment != region.Environment || before.region != w.region):
			found = append(found, finding{failure, subject, fmt.Sprintf("its id is %d, in region %s; the state has sent to %d, in region %s", region.Environment, w.region, before.environment, before.region),
				otherWorkspace})
		default:
			found = append(found, finding{fine, subject, fmt.Sprintf("region %s; to refuse any other: id = %d", w.region, region.Environment), ""})
		}
		found = append(found, checkIdentifiers(ctx, cfg, w, s)...)
		found = append(found, checkObjectTypes(ctx, cfg, w, s)...)
	}
	return found
}

// unreachable is what to do about an address that gave no answer, or none of
// Customer.io's.
func unreachable(address string, err error) string {
	var network net.Error
	if !errors.As(err, &network) {
		return fmt.Sprintf("see that %s is Customer.io's Track API, and try again", address)
	}
	host := address
	if u, err := url.Parse(address); err == nil {
		host = u.Host
	}
	return fmt.Sprintf("let this machine reach %s (name server, firewall, proxy), or correct the address", host)
}

// exposed reports whether an address is reached over the network without TLS.
func exposed(address string) bool {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" || u.Hostname() == "localhost" {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return ip == nil || !ip.IsLoopback()
}

// checkIdentifiers asks which kinds of identifier a workspace accepts. People whom
// mappings name otherwise it ignores, without a word.
func checkIdentifiers(ctx context.Context, cfg *config, w *workspaceConfig, s *sink.Sink) (found []finding) {
	subject := "workspace " + w.name
	used := identifiersUsed(cfg, w)
	if w.appAPIKey.reveal() == "" {
		for _, kind := range used {
			found = append(found, finding{warning, subject,
				fmt.Sprintf("whether it identifies people by %s cannot be asked without app_api_key", kind),
				fmt.Sprintf("add app_api_key, or see in Customer.io's workspace settings that %s is an identifier", kind)})
		}
		return found
	}
	pace := rate.NewLimiter(rate.Limit(w.appRequestsPerSecond), 1)
	var accepted []string
	for _, kind := range []customerio.IdentifierType{customerio.ID, customerio.Email} {
		err := pace.Wait(ctx)
		var enabled bool
		if err == nil {
			enabled, err = s.IdentifierEnabled(ctx, kind)
		}
		switch {
		case sink.Refused(err):
			return append(found, finding{failure, subject, fmt.Sprintf("asking whether it identifies people by %s: %v", kind, err), "correct app_api_key"})
		case err != nil:
			address := w.sink(0, nil).AppURL
			return append(found, finding{failure, subject, fmt.Sprintf("asking %s whether it identifies people by %s: %v", address, kind, err), unreachable(address, err)})
		case enabled:
			accepted = append(accepted, kind.String())
		case slices.Contains(used, kind):
			found = append(found, finding{failure, subject,
				fmt.Sprintf("it does not identify people by %s, and would ignore those that mappings name so", kind),
				fmt.Sprintf("allow %s as an identifier in Customer.io's workspace settings, or name people otherwise", kind)})
		}
	}
	if len(accepted) > 0 {
		found = append(found, finding{fine, subject, "identifies people by " + strings.Join(accepted, " and by "), ""})
	}
	return found
}

// checkObjectTypes asks whether a workspace has the types of custom object that
// the mappings name: an operation on an object of another it refuses.
func checkObjectTypes(ctx context.Context, cfg *config, w *workspaceConfig, s *sink.Sink) (found []finding) {
	subject := "workspace " + w.name
	used := objectTypesUsed(cfg, w)
	switch {
	case len(used) == 0:
		return nil
	case w.appAPIKey.reveal() == "":
		return []finding{{warning, subject, fmt.Sprintf("whether it has the object type %s cannot be asked without app_api_key", strings.Join(used, " and ")), "add app_api_key, or look at the object types in Customer.io"}}
	}
	there, err := s.ObjectTypes(ctx)
	if err != nil {
		return []finding{{warning, subject, fmt.Sprintf("asking which object types it has: %v", err), "see that app_api_key may list object types, or look at them in Customer.io"}}
	}
	for _, t := range used {
		if !slices.Contains(there, t) {
			found = append(found, finding{failure, subject, fmt.Sprintf("it has no object type %s, and would refuse objects of it", t),
				fmt.Sprintf("make the type in Customer.io, or write the number of one that it has: %s", cmp.Or(strings.Join(there, ", "), "none"))})
		}
	}
	if found == nil {
		found = []finding{{fine, subject, "has the object types of the mappings: " + strings.Join(used, ", "), ""}}
	}
	return found
}

// objectTypesUsed are the types of custom object that mappings name outright.
func objectTypesUsed(cfg *config, w *workspaceConfig) (types []string) {
	for i := range cfg.mappings {
		m := &cfg.mappings[i]
		if t := strings.Trim(string(m.ObjectType.JSON), `"`); m.Workspace == w.name && t != "" && !slices.Contains(types, t) {
			types = append(types, t)
		}
	}
	slices.Sort(types)
	return types
}

// identifiersUsed are the kinds of identifier by which mappings name a
// workspace's people, but cio_id, which every workspace has.
func identifiersUsed(cfg *config, w *workspaceConfig) (kinds []customerio.IdentifierType) {
	for i := range cfg.mappings {
		m := &cfg.mappings[i]
		if m.Workspace != w.name {
			continue
		}
		for _, p := range m.Person {
			if p.Type != customerio.CioID && !slices.Contains(kinds, p.Type) {
				kinds = append(kinds, p.Type)
			}
		}
	}
	return kinds
}

func writeFindings(w io.Writer, found []finding) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, f := range found {
		fmt.Fprintf(tw, "%s\t%s\t%s\n", f.Severity, f.Subject, oneLine(f.Message))
		if f.Fix != "" && f.Severity != fine {
			fmt.Fprintf(tw, "\t\tfix: %s\n", oneLine(f.Fix))
		}
	}
	return tw.Flush()
}
