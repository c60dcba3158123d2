package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

func (c *cli) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "seguectl",
		Short: "Check, change and watch the configuration of Segue gateways",
		Long: `Check, change and watch the configuration of Segue gateways.

Every flag can be set in the environment as SEGUE_<NAME>: SEGUE_CONFIG for
--config. Results go to standard output, all else to standard error.

Exit codes: 0 done; 1 failed or refused; 2 wrong usage; 3 not reachable;
4 somebody else wrote first (safe to retry); 5 plan --exit-code found changes;
130 interrupted.`,
		Example: `  export SEGUE_CONFIG=consul:segue/prod
  seguectl ls
  seguectl weights mozart 1=90 2=10 --reason "canary of version 2"
  seguectl status mozart --wait`,
		// Before required flags are looked for, so that the environment can
		// give them too.
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return c.fromEnvironment(cmd) },
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		Args:              cobra.NoArgs,
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.PersistentFlags().StringVar(&c.config, "config", "", "the configuration: file:DIR or consul:[//HOST:PORT/]PREFIX")
	root.PersistentFlags().StringVar(&c.stateDir, "state-dir", "", "with file:, the folder of overrides and audit (default that of the gateway)")
	root.PersistentFlags().BoolVar(&c.json, "json", false, "print one JSON document on standard output")
	root.SetHelpCommand(helpCommand())
	root.AddCommand(
		c.initCommand(), c.checkCommand(), c.planCommand(), c.putCommand(), c.getCommand(), c.lsCommand(),
		c.deleteCommand(), c.weightsCommand(), c.releaseCommand(),
		c.promoteCommand(), c.rollbackCommand(), c.pauseCommand(), c.resumeCommand(), c.retryCommand(), c.freezeCommand(), c.unfreezeCommand(),
		c.statusCommand(), c.driftCommand(), c.watchCommand(), c.historyCommand(), c.revertCommand(),
		c.packCommand(), c.profileCommand(), c.verifyCommand(), c.signCommand(),
		c.pushCommand(), c.pullCommand(), c.artifactsCommand(),
		c.versionCommand(), c.completionCommand(),
	)
	return root
}

// helpCommand makes "seguectl help VERB" the same as "seguectl VERB --help".
func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "help [VERB]",
		Short:   "Show how a verb is used",
		Example: `  seguectl help put`,
		Hidden:  true,
		RunE: func(cmd *cobra.Command, args []string) error {
			target, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return fmt.Errorf("there is no verb %q", strings.Join(args, " "))
			}
			return target.Help()
		},
	}
}
