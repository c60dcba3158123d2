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
		Long: "Reads a request as JSON on standard input, shuts this process in, opens the artifact, runs its golden\n" +
			"requests and synthetic inputs, and writes a report as JSON to file descriptor 3. The process then has\n" +
			"limits on memory and processor time, reads no files but the artifact and libraries, starts no program\n" +
			"and opens no socket but Unix's; the report says which of it this kernel does not offer.\n" +
			"segue serve starts one for every new version.",
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
