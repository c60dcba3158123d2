package main

import (
	"log/slog"
	"os"
	"path/filepath"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/segue-serving/segue/loader/cache"
	"github.com/segue-serving/segue/loader/store"
	"github.com/segue-serving/segue/loader/store/mlflow"
	"github.com/segue-serving/segue/loader/store/remotes"
)

// stores are what versions are fetched with.
type stores struct {
	*store.Registry
	// cache is behind all stores on other machines.
	cache *cache.Cache
	// mlflow is the registry that documents may follow.
	mlflow *mlflow.Server
}

// openStores opens the stores of all schemes.
func openStores(p process, registry prometheus.Registerer, log *slog.Logger) (*stores, error) {
	metrics := store.NewMetrics(registry)
	folder := ""
	if p.stateDir != "" {
		folder = filepath.Join(p.stateDir, "artifacts")
	}
	artifacts, err := cache.Open(folder, p.cacheSize, cache.Options{Log: log, Metrics: metrics})
	if err != nil {
		return nil, err
	}
	artifacts.Register(registry)
	all := map[string]store.Store{"file": store.File{}}
	elsewhere, err := remotes.Open(p.artifactHosts, os.Getenv)
	if err != nil {
		return nil, err
	}
	for scheme, remote := range elsewhere.ByScheme {
		all[scheme] = artifacts.Store(remote)
	}
	return &stores{store.NewRegistry(all, metrics), artifacts, elsewhere.MLflow}, nil
}
