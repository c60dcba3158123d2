package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/segue-serving/segue/configs"
)

// firstSettings are the settings of a new fleet.
const firstSettings = `{"schema": 1}` + "\n"

func (c *cli) initCommand() *cobra.Command {
	var w writing
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Start a new fleet: write settings, print access rules, check this token",
		Long: `Start a new fleet: write the settings {"schema": 1} where there are none, print
the access rules of gateways, operators and readers, and check what this token
may do. Without settings documents are taken as usual, but no deletion counts.`,
		Example: `  seguectl init --config consul:segue/prod
  seguectl init --config file:configs`,
		Args: cobra.NoArgs,
		RunE: c.verb(func(ctx context.Context, _ []string) (report, error) {
			return c.with(ctx, func(s *source) (report, error) { return c.init(ctx, s, &w) })
		}),
	}
	w.register(cmd)
	return cmd
}

// roleRules are the access rules of one role, as the store's access control
// takes them.
type roleRules struct {
	Role  string `json:"role"`
	Rules string `json:"rules"`
}

type initReport struct {
	// Settings is "written", "present" or, in a dry run, "absent".
	Settings string      `json:"settings"`
	Index    uint64      `json:"index,omitempty"`
	Rules    []roleRules `json:"rules,omitempty"`
	// Access is what this caller may do.
	Access []accessCheck `json:"access"`
}

type accessCheck struct {
	What    string `json:"what"`
	Allowed bool   `json:"allowed"`
	Why     string `json:"why,omitempty"`
}

func (r *initReport) writeText(w io.Writer) {
	switch r.Settings {
	case "written":
		fmt.Fprintf(w, "settings: written at index %d\n", r.Index)
	case "present":
		fmt.Fprintf(w, "settings: there already, at index %d\n", r.Index)
	default:
		fmt.Fprintln(w, "settings: none")
	}
	for _, rules := range r.Rules {
		fmt.Fprintf(w, "\n# rules of the role %s\n%s", rules.Role, withNewline([]byte(rules.Rules)))
	}
	fmt.Fprintln(w)
	for _, check := range r.Access {
		if check.Allowed {
			fmt.Fprintf(w, "%s: yes\n", check.What)
		} else {
			fmt.Fprintf(w, "%s: no (%s)\n", check.What, check.Why)
		}
	}
}

func (c *cli) init(ctx context.Context, s *source, w *writing) (report, error) {
	r := &initReport{Rules: s.rules, Access: []accessCheck{}}
	err := c.firstSettings(ctx, s, w, r)
	if err != nil && !errors.Is(err, configs.ErrForbidden) {
		return r, err
	}
	access, accessErr := s.access(ctx)
	r.Access = access
	if err != nil {
		return r, err
	}
	return r, accessErr
}

// firstSettings writes the settings where there are none. Whoever writes them
// at the same time is welcome.
func (c *cli) firstSettings(ctx context.Context, s *source, w *writing, r *initReport) error {
	item, _, refused, err := s.stored(ctx, settingsName)
	if err != nil {
		return err
	}
	if refused != nil {
		c.note("warning: the settings that are there would be refused today: seguectl get _settings --json says why")
	}
	if item == nil {
		written, err := c.write(ctx, s, w, change{event: "init", name: settingsName, key: keyOf(settingsName), after: []byte(firstSettings)})
		switch {
		case err == nil && written.DryRun:
			r.Settings = "absent"
			return nil
		case err == nil:
			r.Settings, r.Index = "written", written.Index
			return nil
		case !errors.Is(err, configs.ErrConflict):
			return err
		}
		if item, _, _, err = s.stored(ctx, settingsName); err != nil || item == nil {
			return err
		}
	}
	r.Settings, r.Index = "present", item.Index
	return nil
}

// probeName is a model that nobody has.
const probeName = "segue-access-check"

// access tries what this caller may do. Writes are tried at an index that no
// key has, so that the store checks the right and then refuses the write.
func (s *source) access(ctx context.Context) ([]accessCheck, error) {
	_, readErr := s.List(ctx, "models/")
	checks := []accessCheck{{What: "read models", Allowed: readErr == nil, Why: why(readErr)}}
	for _, try := range []struct{ what, key string }{
		{"write models", keyOf(probeName)},
		{"write overrides", configs.OverrideKey(probeName)},
		{"write audit", configs.AuditKey(probeName, 1, "init")},
	} {
		_, err := s.Apply(ctx, configs.Write{Key: try.key, Value: []byte("{}"), Index: 1, Tool: true})
		if errors.Is(err, configs.ErrConflict) {
			err = nil
		}
		checks = append(checks, accessCheck{What: try.what, Allowed: err == nil, Why: why(err)})
		if err != nil && !errors.Is(err, configs.ErrForbidden) {
			return checks, err
		}
	}
	return checks, readErr
}

func why(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
