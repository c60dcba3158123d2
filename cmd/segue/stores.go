package main

import (
	"log/slog"
	"os"
	"path/filepath"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/segue-serving/segue/loader/cache"
	"github.com/segue-serving/segue/loader/store"
	"github.com/segue-serving/segue/loader/store/remotes"
)

// openStores opens the stores of all schemes: those on other machines behind
// the cache, which is returned too.
func openStores(p process, registry prometheus.Registerer, log *slog.Logger) (*store.Registry, *cache.Cache, error) {
	metrics := store.NewMetrics(registry)
	folder := ""
	if p.stateDir != "" {
		folder = filepath.Join(p.stateDir, "artifacts")
	}
	artifacts, err := cache.Open(folder, p.cacheSize, cache.Options{Log: log, Metrics: metrics})
	if err != nil {
		return nil, nil, err
	}
	artifacts.Register(registry)
	stores := map[string]store.Store{"file": store.File{}}
	elsewhere, err := remotes.Open(p.artifactHosts, os.Getenv)
	if err != nil {
		return nil, nil, err
	}
	for scheme, remote := range elsewhere.ByScheme {
		stores[scheme] = artifacts.Store(remote)
	}
	return store.NewRegistry(stores, metrics), artifacts, nil
}
