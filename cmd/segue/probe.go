package main

import (
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/segue-serving/segue/loader/probe"
	"github.com/segue-serving/segue/runtime"
	"github.com/segue-serving/segue/runtime/ort"
)

// probeCommand tries one artifact in this process, which the gateway starts
// for nothing else: what crashes here crashes nobody's requests.
func probeCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "probe",
		Short: "Try one artifact in this process; segue serve starts it",
		Long: "Reads a request as JSON on standard input, opens the artifact, runs its golden requests and\n" +
			"writes a report as JSON to file descriptor 3. segue serve starts one for every new version.",
		Example: "  segue probe 3>report.json <request.json",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			engine := func() (runtime.Engine, error) {
				return ort.Open(ort.Config{Log: slog.New(slog.NewTextHandler(os.Stderr, nil))})
			}
			os.Exit(probe.Main(engine, os.Stdin, os.NewFile(probe.ReportFD, "report")))
			return nil
		},
	}
}
