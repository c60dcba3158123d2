// Bench measures Segue on this machine: what clients notice while versions are
// swapped under load, and what the gateway costs beside the least that could
// be done. README.md says how to read the figures.
//
//	go run ./bench --out bench/results
//	go run ./bench --scenario swaps --rounds 1 --seconds 2 --out results
//
// It promises that a broken promise of the gateway (a failed request, a wrong
// answer) ends in exit code 1, and that no earlier result is replaced unasked.
package main

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	goruntime "runtime"
	"syscall"

	"github.com/spf13/pflag"

	"github.com/segue-serving/segue/bench/server"
)

// scenarios are the files that all runs without --scenario measure.
//
//go:embed scenarios/*.yaml
var scenarios embed.FS

// Exit codes, as those of the other programs.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130
)

// usageError is an error of the command line or of a scenario file.
type usageError struct{ error }

func main() {
	if len(os.Args) == 2 && os.Args[1] == server.EchoArgument {
		if err := server.ServeEcho(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(exitFailed)
		}
		return
	}
	// One more than the cores: the clock of an open loop sleeps in the kernel,
	// and would keep a connection's goroutine from a core meanwhile.
	goruntime.GOMAXPROCS(goruntime.NumCPU() + 1)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(exitCode(run(ctx, os.Args[1:], os.Stdout, os.Stderr), os.Stderr))
}

func exitCode(err error, stderr io.Writer) int {
	if err == nil || errors.Is(err, pflag.ErrHelp) {
		return exitDone
	}
	fmt.Fprintln(stderr, "bench:", err)
	var usage usageError
	switch {
	case errors.As(err, &usage):
		return exitUsage
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	}
	return exitFailed
}
