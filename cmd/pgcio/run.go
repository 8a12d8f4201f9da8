package main

import (
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func (a *app) runCommand() *cobra.Command {
	var acceptSource, acceptWorkspace bool
	cmd := &cobra.Command{
		Use:   "run",
		Short: "run the daemon in the foreground",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			defer a.refuseReload()()
			if acceptSource {
				return unbuiltFlag("--accept-new-source")
			}
			cfg, err := a.loadAgainst(cmd.Context())
			if err != nil {
				return err
			}
			sparing(a.getenv)
			return a.daemon(cmd.Context(), cfg, daemonOptions{log: a.log, acceptNewWorkspace: acceptWorkspace, progress: true, fail: a.fail})
		},
	}
	cmd.Flags().BoolVar(&acceptSource, "accept-new-source", false, "not in this version")
	cmd.Flags().BoolVar(&acceptWorkspace, "accept-new-workspace", false, "send everything to a workspace that is another one than before")
	return cmd
}

// refuseReload says of every SIGHUP that reloading is not built yet: what asks for
// it must not end the daemon, and must not seem to have been done. The result ends
// that.
func (a *app) refuseReload() (end func()) {
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGHUP)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range asked {
			a.log.Warn("SIGHUP: reloading the configuration is not built yet in this version; restart pgcio to change it")
		}
	}()
	return func() {
		signal.Stop(asked)
		close(asked)
		<-done
	}
}
