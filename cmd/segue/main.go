// Segue is the gateway: it serves versioned ONNX models over the Open
// Inference Protocol and swaps them while it serves.
//
//	segue serve --config file:configs/examples/quickstart
//	segue serve --config consul:segue/prod
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// version is set by the linker.
var version = "unknown"

// Exit codes.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130
)

// usageError is an error of the command line or the settings.
type usageError struct{ error }

func main() {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	os.Exit(run(os.Args[1:], signals))
}

// run executes one command line and returns the exit code.
func run(args []string, signals <-chan os.Signal) int {
	root := &cobra.Command{
		Use:           "segue",
		Short:         "Segue serves versioned ONNX models and swaps them while it serves",
		Version:       version,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(serveCommand(signals), probeCommand(), answerCommand())
	root.SetArgs(args)
	err := root.ExecuteContext(context.Background())
	if err == nil {
		return exitDone
	}
	fmt.Fprintln(os.Stderr, "segue:", err)
	var usage usageError
	if errors.As(err, &usage) {
		return exitUsage
	}
	return exitFailed
}
