package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/segue-serving/segue/gateway"
)

// serveCommand runs a gateway.
func serveCommand(signals <-chan os.Signal) *cobra.Command {
	s := newSettings(os.Getenv)
	var checkOnly bool
	cmd := &cobra.Command{
		Use:   "serve --config SOURCE",
		Short: "Serve the models that a folder or Consul configures",
		Example: "  segue serve --config file:configs/examples/quickstart\n" +
			"  segue serve --config consul:segue/prod --http-addr :8080\n" +
			"  segue serve --config consul://10.0.0.7:8500/segue/prod --check",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s.resolve(cmd.Flags(), os.Getenv)
			hostname, err := os.Hostname()
			if err != nil {
				hostname = "segue"
			}
			p, err := s.check(hostname)
			if checkOnly {
				if printErr := s.print(cmd.OutOrStdout(), os.Environ()); printErr != nil {
					return printErr
				}
			}
			if err != nil {
				return usageError{err}
			}
			if checkOnly {
				return nil
			}
			return serve(cmd.Context(), p, signals)
		},
	}
	s.register(cmd.Flags())
	cmd.Flags().BoolVar(&checkOnly, "check", false, "print every setting and where it came from, then exit")
	return cmd
}

// serve runs the gateway until a signal ends it. Everything below stands in
// the order in which it starts; it ends in the opposite one:
//
//	configuration ─▶ gateway (reconciler, loader, ONNX Runtime) ─▶ listeners ─▶ Consul's catalogue
func serve(ctx context.Context, p process, signals <-chan os.Signal) error {
	level := &slog.LevelVar{}
	if err := level.UnmarshalText([]byte(p.logLevel)); err != nil {
		return usageError{err}
	}
	log := newLogger(os.Stderr, p.logFormat, level)
	usage := newMemory(p.memoryLimit)
	setCollector(os.Getenv, usage, log)

	engine, err := openEngine(p, log)
	if err != nil {
		return err
	}
	defer closeEngine(engine, log)

	available := cores(os.DirFS("/"))
	registry, executor := newRegistry(engine, usage), newExecutor(available)
	metrics := gateway.NewMetrics(registry)
	if p.nativeHistograms {
		metrics.NativeHistograms()
	}
	source, fleet, err := openConfiguration(p, metrics.StoreWrite, log)
	if err != nil {
		return err
	}
	gw, err := newGateway(p, source, engine, executor, available, usage, metrics, registry, log)
	if err != nil {
		return err
	}
	listeners, err := listen(p, gw, executor, registry, level, log)
	if err != nil {
		return err
	}

	// The gateway ends last, when nobody asks it any more.
	gatewayCtx, stopGateway := context.WithCancel(ctx)
	defer stopGateway()
	ended := make(chan error, 1)
	go func() { ended <- gw.Run(gatewayCtx) }()
	served := listeners.serve()

	catalogueCtx, leaveCatalogue := context.WithCancel(ctx)
	defer leaveCatalogue()
	var catalogue sync.WaitGroup
	if fleet != nil {
		catalogue.Go(func() { keepRegistered(catalogueCtx, fleet, p, log) })
	}

	var failure error
	select {
	case sig := <-signals:
		log.Info("shutting down", "signal", sig.String(), "delay", p.shutdownDelay, "timeout", p.shutdownTimeout)
	case failure = <-served:
	case failure = <-ended:
		ended <- failure
		failure = errors.Join(errors.New("the gateway ended by itself"), failure)
	}
	go func() {
		<-signals
		log.Warn("second signal: ending now")
		os.Exit(exitFailed)
	}()
	listeners.notReady()
	leaveCatalogue()
	catalogue.Wait()
	if err := listeners.drain(p.shutdownDelay, p.shutdownTimeout); err != nil {
		log.Warn("requests are cut off", "error", err)
	}
	stopGateway()
	failure = errors.Join(failure, waitFor(ended, log))
	listeners.close()
	if executor.Stats().Busy == 0 { // a worker in a run that does not end ends with the process
		executor.Close()
	}
	if failure != nil {
		return fmt.Errorf("serve: %w", failure)
	}
	log.Info("done")
	return nil
}

// lastRelease is how long a version that somebody still holds, in a run that
// does not end, keeps the process after its requests were cut off.
const lastRelease = 2 * time.Second

// waitFor returns what the gateway ended with.
func waitFor(ended <-chan error, log *slog.Logger) error {
	select {
	case err := <-ended:
		return err
	case <-time.After(lastRelease):
		log.Warn("versions are still in use", "after", lastRelease)
		return nil
	}
}
