package main

import (
	"log/slog"
	"path/filepath"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/segue-serving/segue/loader/cache"
	"github.com/segue-serving/segue/loader/store"
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
	for scheme, remote := range remotes() {
		stores[scheme] = artifacts.Store(remote)
	}
	return store.NewRegistry(stores, metrics), artifacts, nil
}

// remotes are the stores on other machines by scheme.
func remotes() map[string]store.Remote { return map[string]store.Remote{} }
