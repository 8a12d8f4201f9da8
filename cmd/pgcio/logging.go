package main

import "log/slog"

// newLogger makes a logger to stderr. Under the journal, which stamps every
// line itself, there are no times. An error is one line.
func newLogger(c console, level, format string) (*slog.Logger, error) {
	var opts slog.HandlerOptions
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, usagef("--log-level %q: it is debug, info, warn or error", level)
	}
	opts.Level = l
	// A terminal's shell may have inherited these from a systemd that started
	// the session; what counts is where stderr goes.
	systemd := (c.env("JOURNAL_STREAM") != "" || c.env("INVOCATION_ID") != "") && !isTerminal(c.stderr)
	opts.ReplaceAttr = func(groups []string, a slog.Attr) slog.Attr {
		if systemd && a.Key == slog.TimeKey && len(groups) == 0 {
			return slog.Attr{}
		}
		if err, is := a.Value.Any().(error); is {
			return slog.String(a.Key, joinedLines(err))
		}
		return a
	}
	if format == "" {
		format = "text"
		if systemd {
			format = "json"
		}
	}
	switch format {
	case "text":
		return slog.New(slog.NewTextHandler(c.stderr, &opts)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(c.stderr, &opts)), nil
	}
	return nil, usagef("--log-format %q: it is text or json", format)
}
