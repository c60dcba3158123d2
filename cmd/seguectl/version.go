package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	goruntime "runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set by the linker: -ldflags "-X main.version=v1.2.3".
var version string

type versionReport struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	// Time is that of the revision, Modified says that the tree was changed.
	Time     string `json:"time,omitempty"`
	Modified bool   `json:"modified,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func (r *versionReport) writeText(w io.Writer) {
	fmt.Fprintf(w, "seguectl %s\n", r.Version)
	if r.Revision != "" {
		modified := ""
		if r.Modified {
			modified = ", modified"
		}
		fmt.Fprintf(w, "revision %s (%s%s)\n", r.Revision, r.Time, modified)
	}
	fmt.Fprintf(w, "%s %s\n", r.Go, r.Platform)
}

func (c *cli) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version of this tool",
		Example: `  seguectl version
  seguectl version --json`,
		Args: cobra.NoArgs,
		RunE: c.verb(func(context.Context, []string) (report, error) {
			return buildVersion(version, debug.ReadBuildInfo), nil
		}),
	}
}

// buildVersion prefers the linker's version over the module's.
func buildVersion(linked string, read func() (*debug.BuildInfo, bool)) *versionReport {
	r := &versionReport{Version: linked, Go: goruntime.Version(), Platform: goruntime.GOOS + "/" + goruntime.GOARCH}
	if info, ok := read(); ok {
		if r.Version == "" {
			r.Version = info.Main.Version
		}
		for _, setting := range info.Settings {
			switch setting.Key {
			case "vcs.revision":
				r.Revision = setting.Value
			case "vcs.time":
				r.Time = setting.Value
			case "vcs.modified":
				r.Modified = setting.Value == "true"
			}
		}
	}
	if r.Version == "" {
		r.Version = "unknown"
	}
	return r
}

type completionReport struct {
	Shell  string `json:"shell"`
	Script string `json:"script"`
}

func (r *completionReport) writeText(w io.Writer) { fmt.Fprint(w, r.Script) }

func (c *cli) completionCommand() *cobra.Command {
	var root *cobra.Command
	cmd := &cobra.Command{
		Use:   "completion bash|zsh|fish|powershell",
		Short: "Print the script that completes commands in a shell",
		Example: `  source <(seguectl completion bash)
  seguectl completion zsh > "${fpath[1]}/_seguectl"`,
		ValidArgs: []string{"bash", "zsh", "fish", "powershell"},
		Args:      cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
	}
	run := c.verb(func(_ context.Context, args []string) (report, error) {
		var script bytes.Buffer
		var err error
		switch args[0] {
		case "bash":
			err = root.GenBashCompletionV2(&script, true)
		case "zsh":
			err = root.GenZshCompletion(&script)
		case "fish":
			err = root.GenFishCompletion(&script, true)
		case "powershell":
			err = root.GenPowerShellCompletionWithDesc(&script)
		}
		return &completionReport{args[0], script.String()}, err
	})
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		root = cmd.Root()
		return run(cmd, args)
	}
	return cmd
}
