package main

import (
	"log/slog"
	"slices"
	"strings"
)

// What --log-level and --log-format may say. slog would read "debug+3" too.
var (
	logLevels  = []string{"debug", "info", "warn", "error"}
	logFormats = []string{"text", "json"}
)

// alternatives is "text or json".
func alternatives(words []string) string {
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// newLogger makes a logger to stderr. Under the journal, which stamps every
// line itself, there are no times. An error is one line.
func newLogger(c console, level, format string) (*slog.Logger, error) {
	var opts slog.HandlerOptions
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil || !slices.Contains(logLevels, level) {
		return nil, usagef("--log-level %q: it is %s", level, alternatives(logLevels))
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
	return nil, usagef("--log-format %q: it is %s", format, alternatives(logFormats))
}
