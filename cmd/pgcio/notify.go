package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// notifier tells systemd how the daemon is. Without systemd it does nothing.
type notifier struct{ log *slog.Logger }

func (n notifier) send(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		n.log.Warn("telling systemd failed", "error", err)
	}
}

// ready says that the service is up.
func (n notifier) ready() { n.send(daemon.SdNotifyReady) }

// stopping says that the service is going down.
func (n notifier) stopping() { n.send(daemon.SdNotifyStopping) }

// status is the line that systemctl status shows.
func (n notifier) status(line string) { n.send("STATUS=" + line) }

// feed keeps systemd's watchdog quiet as long as the loops go round.
func (n notifier) feed(ctx context.Context, p *pulse) {
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		n.log.Warn("systemd's watchdog interval cannot be read", "error", err)
	}
	if interval <= 0 {
		<-ctx.Done() // nobody watches
		return
	}
	tick := time.NewTicker(interval / 3)
	defer tick.Stop()
	for {
		if err := p.alive(); err != nil {
			n.log.Error("not feeding the watchdog", "error", err)
		} else {
			n.send(daemon.SdNotifyWatchdog)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
