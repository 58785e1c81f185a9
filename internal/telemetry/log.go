package telemetry

import (
	"io"
	"log/slog"
	"strings"
)

// Logger writes to w what is at least as grave as level (debug, info, warn or error; info
// for any other word): JSON lines for machines, plain lines when w is a terminal.
func Logger(level string, w io.Writer, terminal bool) *slog.Logger {
	least := slog.LevelInfo
	switch strings.ToLower(level) {
	case "debug":
		least = slog.LevelDebug
	case "warn":
		least = slog.LevelWarn
	case "error":
		least = slog.LevelError
	}
	options := &slog.HandlerOptions{Level: least}
	if terminal {
		return slog.New(slog.NewTextHandler(w, options))
	}
	return slog.New(slog.NewJSONHandler(w, options))
}
