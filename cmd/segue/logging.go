package main

import (
	"io"
	"log/slog"
)

// newLogger writes structured lines to w, as JSON or text. The level can be
// changed while the process runs.
func newLogger(w io.Writer, format string, level *slog.LevelVar) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}
