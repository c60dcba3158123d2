package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/configs/consul"
	"github.com/segue-serving/segue/configs/file"
)

// openStore opens what --config names.
func openStore(_ context.Context, config, stateDir string) (*source, error) {
	scheme, rest, _ := strings.Cut(config, ":")
	switch {
	case scheme == "file" && rest != "":
		return openFolder(config, rest, stateDir)
	case scheme == "consul" && rest != "":
		return openConsul(config, rest)
	}
	return nil, usageError{fmt.Errorf("--config %q is neither file:DIR nor consul:[//HOST:PORT/]PREFIX", config)}
}

func openFolder(config, dir, stateDir string) (*source, error) {
	if _, err := os.ReadDir(dir); err != nil {
		return nil, fmt.Errorf("%w: %w", configs.ErrUnreachable, err)
	}
	if stateDir == "" {
		stateDir = defaultStateDir(os.Geteuid(), os.Getenv)
	}
	folder, err := file.Open(file.Options{Dir: dir, StateDir: stateDir, Log: warnings()})
	if err != nil {
		return nil, err
	}
	return &source{Store: folder, kind: "file", base: folder.Dir()}, nil
}

// defaultStateDir is the gateway's own default.
func defaultStateDir(uid int, getenv func(string) string) string {
	if uid == 0 {
		return "/var/lib/segue"
	}
	if dir := getenv("XDG_STATE_HOME"); dir != "" {
		return filepath.Join(dir, "segue")
	}
	return filepath.Join(getenv("HOME"), ".local", "state", "segue")
}

func openConsul(config, spec string) (*source, error) {
	_, prefix, err := consul.ParseSpec(spec)
	if err != nil {
		return nil, usageError{err}
	}
	fleet, err := consul.Open(consul.Options{Spec: spec, Log: warnings()})
	if err != nil {
		return nil, err
	}
	rules, err := consul.InitRules(prefix)
	if err != nil {
		return nil, usageError{err}
	}
	return &source{Store: fleet, kind: "consul",
		rules: []roleRules{{"gateway", rules.Gateway}, {"operator", rules.Operator}, {"reader", rules.Reader}}}, nil
}

// warnings goes to standard error, without times: a verb is short.
func warnings() *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn,
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey && len(groups) == 0 {
				return slog.Attr{}
			}
			return a
		}}))
}
