package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/gateway"
	"github.com/segue-serving/segue/loader"
	"github.com/segue-serving/segue/loader/probe"
	"github.com/segue-serving/segue/runtime"
	"github.com/segue-serving/segue/runtime/batch"
	"github.com/segue-serving/segue/runtime/ort"
)

// probeLimits bound the child that tries a new version. ONNX Runtime reserves
// far more address space than it uses.
var probeLimits = probe.Limits{Memory: 16 << 30, CPU: 5 * time.Minute, Wall: 5 * time.Minute}

// loadsAtOnce is how many versions are brought up side by side.
const loadsAtOnce = 2

// maxTensorBytes bounds one input tensor. The body limit of the settings binds
// first; this keeps a compressed or sparse JSON body from asking for more.
const maxTensorBytes = 1 << 30

func openEngine(p process, log *slog.Logger) (*ort.Engine, error) {
	library, err := ort.Library(p.library)
	if err != nil {
		return nil, err
	}
	engine, err := ort.Open(ort.Config{Library: library, Log: log})
	if err != nil {
		return nil, err
	}
	return engine, nil
}

func closeEngine(engine *ort.Engine, log *slog.Logger) {
	if err := engine.Close(); err != nil {
		log.Warn("ONNX Runtime did not close", "error", err)
	}
}

// newRegistry holds the metrics of this process.
func newRegistry(engine runtime.Engine, usage memory) *prometheus.Registry {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), usage, buildInfo(engine))
	return registry
}

// newGateway gives the gateway what it is made of: how versions are fetched,
// tried and opened, and the process's defaults.
func newGateway(p process, source configuration, engine runtime.Engine, executor *batch.Executor, cores int, usage memory,
	metrics *gateway.Metrics, registry *prometheus.Registry, log *slog.Logger,
) (*gateway.Gateway, error) {
	child, err := ownProbe(p)
	if err != nil {
		return nil, err
	}
	stores, err := openStores(p, registry, log)
	if err != nil {
		return nil, err
	}
	verdicts := probe.NewCache(probe.CacheOptions{Engine: engine.Version(), Probe: child.Probe, Folder: verdictsFolder(p), Log: log})
	child.Room = func() int64 {
		if room, ok := usage.room(); ok {
			return max(1, room.Left)
		}
		return 0
	}
	return gateway.New(gateway.Options{
		Source: source, Store: source, Announcer: source, Locker: source, SourceID: p.config, StateDir: p.stateDir,
		Egress: p.artifactHosts, Instance: p.instance, Version: version, Resolve: newFollowed(stores.mlflow, p.modelVersion).resolve,
		Loader: loader.Options{
			Stores: stores, Keeper: stores.cache,
			Probe: verdicts.Probe,
			Memory: func(device string) (loader.Memory, bool) {
				if device != configs.DefaultDevice {
					return loader.Memory{}, false // the driver gives out what there is
				}
				return usage.room()
			},
			Open: func(ctx context.Context, r loader.OpenRequest) (loader.Instance, error) {
				if message := tooManyThreads(cores, r.Wanted); message != "" {
					log.Warn(message, "model", r.Wanted.Model, "version", r.Wanted.Version)
				}
				return openInstance(ctx, engine, executor, r.ModelPath, r.Wanted)
			},
			Log: log, Metrics: loader.NewMetrics(registry), Concurrency: loadsAtOnce,
		},
		Runtime:      configs.Runtime{MaxBatchSize: p.batchSize, MaxDimension: p.maxDimension},
		ModelVersion: p.modelVersion, MaxTensorBytes: maxTensorBytes, Log: log, Metrics: metrics,
	})
}

// openInstance opens all sessions of a version, or none.
func openInstance(ctx context.Context, engine runtime.Engine, executor *batch.Executor, path string, w loader.Wanted) (loader.Instance, error) {
	var sessions []runtime.Session
	for range max(1, w.Instances) {
		session, err := engine.Open(ctx, path, runtime.Options{Device: w.Device, Threads: w.Threads, MemoryLimit: w.MemoryLimit})
		if err != nil {
			for _, s := range sessions {
				err = errors.Join(err, s.Close())
			}
			return nil, err
		}
		sessions = append(sessions, session)
	}
	return gateway.Instance{Instance: executor.Instance(sessions[0], batch.InstanceOptions{
		Name: w.Model, Version: w.Version, Device: w.Device, QueueLimit: w.QueueLimit,
		MaxBatch: w.MaxBatch, MaxQueueDelay: w.MaxQueueDelay, Sessions: sessions[1:],
	})}, nil
}

// ownProbe runs this very program as the child that tries a new version.
func ownProbe(p process) (*probe.Child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program, which tries new versions in a child: %w", err)
	}
	library, err := ort.Library(p.library)
	if err != nil {
		return nil, err
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return nil, fmt.Errorf("find the libraries that a child needs: %w", err)
	}
	return &probe.Child{
		Command: []string{self, "probe"}, Limits: probeLimits, Reads: libraryFolders(library, string(maps), os.Getenv("LD_LIBRARY_PATH")),
		Env: append(probe.Environment(os.Environ()), ort.LibraryEnv+"="+library),
	}, nil
}

// verdictsFolder is where verdicts are kept over a restart, empty where there is
// no state folder.
func verdictsFolder(p process) string {
	if p.stateDir == "" {
		return ""
	}
	return filepath.Join(p.stateDir, "probe")
}

func buildInfo(engine runtime.Engine) prometheus.Collector {
	info := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "segue_build_info", Help: "Version of the program and of ONNX Runtime; always 1.",
	}, []string{"version", "onnxruntime"})
	info.WithLabelValues(version, engine.Version()).Set(1)
	return info
}
