package main

import (
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/segue-serving/segue/loader/probe"
	"github.com/segue-serving/segue/runtime"
	"github.com/segue-serving/segue/runtime/ort"
)

// answerCommand runs a model for its packer, who has no engine.
func answerCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "answer",
		Short: "Answer golden requests to a model; seguectl pack starts it",
		Long: "Reads a model's path and requests as JSON on standard input, opens the model in this process, and\n" +
			"writes the requests with their answers to standard output, as a manifest holds them.",
		Example: `  echo '{"model_path": "model.onnx", "goldens": [{"name": "one", "inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": [1]}]}]}' | segue answer`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			engine := func() (runtime.Engine, error) {
				return ort.Open(ort.Config{Log: slog.New(slog.NewTextHandler(os.Stderr, nil))})
			}
			return probe.AnswerMain(cmd.Context(), engine, os.Stdin, os.Stdout)
		},
	}
}
