package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/segue-serving/segue/configs"
)

// watchInterval is how often watch looks.
const watchInterval = time.Second

func (c *cli) watchCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "watch [MODEL]",
		Short: "Show the fleet's status as it changes, until interrupted",
		Long: `Show the fleet's status as it changes, until interrupted (exit code 130). On a
terminal the table of status is drawn again and again; elsewhere each change is
a line. With --json the changes are one list, an item a line, which is closed
at the end.`,
		Example: `  seguectl watch
  seguectl watch mozart > changes.txt`,
		Args: cobra.MaximumNArgs(1),
		RunE: c.verb(func(ctx context.Context, args []string) (report, error) {
			model, err := optionalModel(args)
			if err != nil {
				return nil, err
			}
			return c.with(ctx, func(s *source) (report, error) { return c.watch(ctx, s, model) })
		}),
	}
}

// watch ends only with an error: the interrupt, or what no other look can
// mend.
func (c *cli) watch(ctx context.Context, s *source, model string) (report, error) {
	show, end := c.showLines, func() {}
	switch {
	case c.json:
		fmt.Fprint(c.stdout, "[")
		first := true
		show = func(_ *statusReport, events []event) { first = c.showJSON(events, first) }
		end = func() { fmt.Fprintln(c.stdout, "\n]") }
	case c.redraw:
		show = c.showTable
	}
	defer end()
	var before map[fact]string
	said := map[string]string{}
	for {
		r, err := c.fleet(ctx, s, s.wantedOf(model), model)
		switch {
		case err == nil:
			now := facts(r.Gateways)
			show(r, events(before, now, c.now()))
			before = now
			c.say(said, "", "connected")
		case errors.Is(err, configs.ErrUnreachable) && !interrupted(ctx):
			c.say(said, "", "cannot be reached, trying on: "+err.Error())
		default:
			return c.watched(), err
		}
		if err := c.sleep(ctx, watchInterval); err != nil {
			return c.watched(), err
		}
	}
}

// watched is the report of what was printed on the way.
func (c *cli) watched() report { return streamedReport{} }

func (c *cli) showTable(r *statusReport, _ []event) {
	var screen bytes.Buffer
	// Home and clear, in one write with the table, so that nothing flickers.
	screen.WriteString("\x1b[H\x1b[2J")
	fmt.Fprintf(&screen, "%s  (Ctrl-C ends)\n\n", clock(c.now()))
	r.writeText(&screen)
	c.stdout.Write(screen.Bytes())
}

func (c *cli) showLines(_ *statusReport, events []event) {
	for _, e := range events {
		fmt.Fprintf(c.stdout, "%s %s\n", clock(e.At), e)
	}
}

func (c *cli) showJSON(events []event, first bool) bool {
	for _, e := range events {
		text, err := json.Marshal(e)
		if err != nil {
			continue
		}
		separator := ",\n"
		if first {
			separator = "\n"
		}
		first = false
		fmt.Fprintf(c.stdout, "%s%s", separator, text)
	}
	return first
}

// fact is one thing that a gateway says, of itself or of a model.
type fact struct{ gateway, model, what string }

// event is a fact that changed. Before is empty for a new one, After for one
// that is gone.
type event struct {
	At      time.Time `json:"at"`
	Gateway string    `json:"gateway"`
	Model   string    `json:"model,omitempty"`
	What    string    `json:"what"`
	Before  string    `json:"before,omitempty"`
	After   string    `json:"after,omitempty"`
}

// String is the event in a line, without its time.
func (e event) String() string {
	subject := strings.TrimSpace(e.Gateway + " " + e.Model)
	switch {
	case e.Before == "":
		return fmt.Sprintf("%s %s: %s", subject, e.What, e.After)
	case e.After == "":
		return fmt.Sprintf("%s %s: no longer %s", subject, e.What, e.Before)
	}
	return fmt.Sprintf("%s %s: %s → %s", subject, e.What, e.Before, e.After)
}

// events are the differences between two sets of facts, in order.
func events(before, now map[fact]string, at time.Time) []event {
	all := maps.Clone(now)
	for f := range before {
		all[f] = now[f]
	}
	var changed []event
	for _, f := range slices.SortedFunc(maps.Keys(all), compareFacts) {
		if before[f] != now[f] {
			changed = append(changed, event{at.UTC(), f.gateway, f.model, f.what, before[f], now[f]})
		}
	}
	return changed
}

func compareFacts(a, b fact) int {
	for _, pair := range [][2]string{{a.gateway, b.gateway}, {a.model, b.model}, {a.what, b.what}} {
		if c := strings.Compare(pair[0], pair[1]); c != 0 {
			return c
		}
	}
	return 0
}

// facts takes the gateways' status apart.
func facts(gateways []configs.GatewayStatus) map[fact]string {
	all := map[fact]string{}
	for _, gateway := range gateways {
		set := func(model, what, value string) {
			if value != "" {
				all[fact{gateway.Instance, model, what}] = value
			}
		}
		ready := "ready"
		if !gateway.Ready {
			ready = "not ready"
		}
		set("", "gateway", ready)
		set("", "source", sourceText(gateway.Config))
		if gateway.Config.Frozen {
			set("", "freeze", "frozen")
		}
		for name, m := range gateway.Models {
			set(name, "index", fmt.Sprint(m.Index))
			if len(m.Weights) > 0 {
				set(name, "weights", sharesText(m.Weights))
			}
			if r := m.Rollout; r != nil {
				set(name, "rollout", r.Describe())
				set(name, "verdict", r.Verdict)
				if r.Waits {
					set(name, "awaits", "a person")
				}
			}
			set(name, "waiting", m.Waiting)
			set(name, "refused", joinLines(m.Rejected))
			set(name, "steered", strings.Join(modelNotes(m), "; "))
			for version, v := range m.Versions {
				state := v.State
				if v.Reason != "" {
					state += ": " + oneLine(v.Reason)
				}
				set(name, "version "+version, state)
			}
		}
	}
	return all
}
