package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// fromEnvironment sets each flag that was not given from SEGUE_<NAME>.
func (c *cli) fromEnvironment(cmd *cobra.Command) error {
	var problems []error
	cmd.Flags().VisitAll(func(flag *pflag.Flag) {
		if flag.Changed || flag.Name == "help" {
			return
		}
		name := "SEGUE_" + strings.ToUpper(strings.ReplaceAll(flag.Name, "-", "_"))
		value, ok := c.lookupEnv(name)
		if !ok || value == "" {
			return
		}
		if err := cmd.Flags().Set(flag.Name, value); err != nil {
			problems = append(problems, fmt.Errorf("%s=%q: %w", name, value, err))
		}
	})
	return errors.Join(problems...)
}

// writing are the flags that all writing verbs share.
type writing struct {
	dryRun, yes bool
	reason      string
}

func (w *writing) register(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&w.dryRun, "dry-run", false, "say what would be written and write nothing")
	cmd.Flags().StringVar(&w.reason, "reason", "", "why, for the audit")
	cmd.Flags().BoolVar(&w.yes, "yes", false, "do not ask before taking traffic away or deleting")
}

// defaultWait is how long --wait waits where it is given without a time.
const defaultWait = 5 * time.Minute

// weightArgs reads VERSION=WEIGHT arguments.
func weightArgs(args []string, relative bool) (map[string]float64, error) {
	weights := map[string]float64{}
	sum := 0.0
	for _, arg := range args {
		version, text, ok := strings.Cut(arg, "=")
		if !ok || version == "" || text == "" {
			return nil, usageError{fmt.Errorf("%q is not VERSION=WEIGHT", arg)}
		}
		if _, twice := weights[version]; twice {
			return nil, usageError{fmt.Errorf("version %s is named twice", version)}
		}
		weight, err := parseWeight(text)
		if err != nil {
			return nil, usageError{fmt.Errorf("%q: %w", arg, err)}
		}
		weights[version] = weight
		sum += weight
	}
	switch {
	case sum == 0:
		return nil, usageError{errors.New("all weights are zero: at least one version must answer")}
	case !relative && (sum < 100-weightSlack || sum > 100+weightSlack):
		return nil, usageError{fmt.Errorf("the weights sum to %s, not to 100: versions that are not named get 0 (--relative takes any sum)", number(sum))}
	}
	return weights, nil
}

// weightSlack lets thirds be written as 33.33.
const weightSlack = 0.05
