package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

func (a *app) completionCommand() *cobra.Command {
	shells := []string{"bash", "zsh", "fish"}
	return &cobra.Command{
		Use:   "completion bash|zsh|fish",
		Short: "print a completion script for a shell",
		Long: "Print a completion script for a shell. To load it into the running shell:\n\n" +
			"  bash, with the package bash-completion: source <(pgcio completion bash)\n" +
			"  zsh, after compinit:                    source <(pgcio completion zsh)\n" +
			"  fish:                                   pgcio completion fish | source",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 || !slices.Contains(shells, args[0]) {
				return usagef("%s: name one shell: %s", strings.Join(append([]string{"completion"}, args...), " "), strings.Join(shells, ", "))
			}
			return nil
		},
		ValidArgs: shells,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch root := cmd.Root(); args[0] {
			case "bash":
				return root.GenBashCompletionV2(a.stdout, true)
			case "zsh":
				return root.GenZshCompletion(a.stdout)
			default:
				return root.GenFishCompletion(a.stdout, true)
			}
		},
	}
}

// completeFlag offers the values that a flag may have.
func completeFlag(cmd *cobra.Command, flag string, values []string) {
	must(cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)))
}

// completeFiles offers files with one extension as a flag's value.
func completeFiles(cmd *cobra.Command, flag, extension string) {
	must(cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions([]string{extension}, cobra.ShellCompDirectiveFilterFileExt)))
}

// must stops a program that names a flag which it does not have.
func must(err error) {
	if err != nil {
		panic(err)
	}
}
