package main

import (
	"cmp"
	"context"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pgcio/pgcio/internal/strict"
)

// app is what the commands share: the console and the global flags.
type app struct {
	console
	configFile string
	logLevel   string
	logFormat  string

	fail    func(point string) // called at the daemon's named points, for tests that kill it there; nil: nothing is called
	log     *slog.Logger       // as the flags ask for
	running bool               // the command line was understood
	refused error              // help was asked for with something that there is no help about
}

// ownWords puts words like those of the rest of the help into cobra's template. A
// command that has commands is not shown as one that runs without them.
var ownWords = strings.NewReplacer(
	"{{if .Runnable}}\n  {{.UseLine}}", "{{if and .Runnable (not .HasAvailableSubCommands)}}\n  {{.UseLine}}",
	"[command]", "COMMAND",
	"Available Commands:", "Commands:",
)

// builtGroup are the commands of this version in the help.
const builtGroup = "built"

// execute runs a command line and returns its exit status.
func execute(ctx context.Context, args []string, c console) int {
	return (&app{console: c}).execute(ctx, args)
}

func (a *app) execute(ctx context.Context, args []string) int {
	root := a.command()
	root.SetArgs(args)
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	err := cmp.Or(root.ExecuteContext(ctx), a.refused)
	if err != nil && !a.running {
		// Cobra's own errors carry no type; all of them come before any command.
		err = usageError{err}
	}
	complain(a.stderr, err)
	return exitStatus(err)
}

func (a *app) command() *cobra.Command {
	root := &cobra.Command{
		Use:     "pgcio",
		Short:   "Keep Customer.io true to Postgres",
		Long:    "pgcio tails Postgres' logical replication and keeps Customer.io true to what the tables hold.",
		Version: buildVersion(),
		Args:    cobra.ArbitraryArgs,

		DisableFlagsInUseLine: true,
		SilenceErrors:         true,
		SilenceUsage:          true,
		PersistentPreRunE: func(*cobra.Command, []string) (err error) {
			a.running = true
			a.log, err = newLogger(a.console, a.logLevel, a.logFormat)
			return err
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			return cmd.Help()
		},
	}
	root.SetVersionTemplate("{{.Name}} {{.Version}}\n")
	root.SetUsageTemplate(ownWords.Replace(root.UsageTemplate()))
	root.CompletionOptions.DisableDefaultCmd = true
	root.CompletionOptions.SetDefaultShellCompDirective(cobra.ShellCompDirectiveNoFileComp)
	flags := root.PersistentFlags()
	flags.StringVarP(&a.configFile, "config", "c", "", "read the configuration from `FILE` (default $PGCIO_CONFIG, ./pgcio.toml, /etc/pgcio/pgcio.toml)")
	flags.StringVar(&a.logLevel, "log-level", "info", "log `LEVEL` and above: "+alternatives(logLevels))
	flags.StringVar(&a.logFormat, "log-format", "", "log as `FORMAT`: "+alternatives(logFormats)+" (default: json under systemd, else text)")
	completeFlag(root, "log-level", logLevels)
	completeFlag(root, "log-format", logFormats)
	completeFiles(root, "config", "toml")
	// In the order in which a user meets them.
	cobra.EnableCommandSorting = false
	root.AddGroup(&cobra.Group{ID: builtGroup, Title: "Commands:"})
	root.SetHelpCommand(helpCommand())
	root.SetHelpCommandGroupID(builtGroup)
	usual := root.HelpFunc()
	root.SetHelpFunc(func(cmd *cobra.Command, args []string) {
		if a.refused = helpless(cmd); a.refused == nil {
			usual(cmd, args)
		}
	})
	for _, c := range []*cobra.Command{
		a.runCommand(), a.demoCommand(), a.simulateCommand(), a.checkCommand(), a.setupCommand(),
		a.teardownCommand(), a.statusCommand(), a.parkedCommand(), a.versionCommand(), a.completionCommand(),
	} {
		c.GroupID = builtGroup
		root.AddCommand(c)
	}
	addUnbuilt(root)
	return root
}

// helpCommand is cobra's own, except that what it does not know is an error.
func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "help about any command",
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) (names []string, _ cobra.ShellCompDirective) {
			if about, _, err := cmd.Root().Find(args); err == nil {
				for _, c := range about.Commands() {
					if c.IsAvailableCommand() && c.GroupID != unbuiltGroup { // of others there is no help
						names = append(names, c.Name())
					}
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			about, rest, err := cmd.Root().Find(args)
			if err != nil {
				return usageError{err}
			}
			if len(rest) > 0 {
				return unknownCommand(about, rest[0])
			}
			return about.Help()
		},
	}
}

// helpless refuses help where the command itself is refused: it is not built, or
// unknown, which cobra sees only in what is left of its parent's arguments.
func helpless(cmd *cobra.Command) error {
	switch {
	case cmd.GroupID == unbuiltGroup:
		return unbuiltCommand(cmd.Name())
	case cmd.HasSubCommands() && cmd.Flags().NArg() > 0:
		return unknownCommand(cmd, cmd.Flags().Arg(0))
	}
	return nil
}

// subcommands makes a command that does nothing without one of its subcommands.
func subcommands(c *cobra.Command, subs ...*cobra.Command) *cobra.Command {
	c.AddCommand(subs...)
	c.Args = cobra.ArbitraryArgs
	c.DisableFlagsInUseLine = true
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return usagef("%s needs one of its commands; see %s --help", cmd.Name(), cmd.CommandPath())
		}
		return unknownCommand(cmd, args[0])
	}
	return c
}

// arguments says how a command is used where it has too few or too many of them.
func arguments(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < least || len(args) > most {
			return usagef("usage: %s", cmd.UseLine())
		}
		return nil
	}
}

func unknownCommand(parent *cobra.Command, name string) error {
	var names []string
	for _, c := range parent.Commands() {
		names = append(names, c.Name())
	}
	if advice := strict.DidYouMean(name, names); advice != "" {
		return usagef("unknown command %q for %q; %s", name, parent.CommandPath(), advice)
	}
	return usagef("unknown command %q for %q", name, parent.CommandPath())
}
