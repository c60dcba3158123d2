package main

import (
	"fmt"
	"log/slog"
	"strings"

	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/configs/consul"
	"github.com/segue-serving/segue/configs/file"
)

// configuration is where documents come from and overrides go.
type configuration interface {
	configs.Source
	configs.Store
	configs.Locker
	configs.Announcer
}

// openConfiguration opens the source that --config names, which tells onWrite
// what it writes to Consul by itself. The fleet is nil but with Consul.
func openConfiguration(p process, onWrite func(kind, outcome string), log *slog.Logger) (configuration, *consul.Fleet, error) {
	scheme, rest, _ := strings.Cut(p.config, ":")
	switch scheme {
	case "file":
		folder, err := file.Open(file.Options{Dir: rest, StateDir: p.stateDir, Log: log})
		return folder, nil, err
	case "consul":
		fleet, err := consul.Open(consul.Options{Spec: rest, StateDir: p.stateDir, Log: log, OnWrite: onWrite})
		return fleet, fleet, err
	}
	return nil, nil, fmt.Errorf("config %q: unknown scheme", p.config)
}
