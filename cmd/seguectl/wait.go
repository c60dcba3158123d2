package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/segue-serving/segue/configs"
)

// pollInterval is how often the status of the gateways is read while waiting.
const pollInterval = 500 * time.Millisecond

// refusal says which gateway refuses, or which rollout was rolled back; nil
// where there is none.
func (r *waitReport) refusal() error {
	for _, s := range r.Gateways {
		switch s.State {
		case stateRefused:
			return fmt.Errorf("%s refuses %s: %s", s.Instance, s.Model, s.Why)
		case stateRolledBack:
			return fmt.Errorf("%s is rolled back: %s", s.Model, s.Why)
		}
	}
	return nil
}

// wait polls the gateways' status until all of them have what is wanted in
// force, one refuses, or the time is over. Gateways that come are waited for,
// gateways that leave are not. What is wanted is asked anew at each look.
// Progress goes to standard error.
func (c *cli) wait(ctx context.Context, s *source, want func(context.Context, []configs.GatewayStatus) (wanted, error), limit time.Duration) (*waitReport, error) {
	deadline := c.now().Add(limit)
	said := map[string]string{}
	last := &waitReport{Gateways: []standing{}}
	for {
		now, err := c.look(ctx, s, want)
		switch {
		case err == nil:
			last = now
			c.progress(last, said)
			if err := last.refusal(); err != nil || last.Settled {
				return last, err
			}
		case !errors.Is(err, configs.ErrUnreachable):
			return last, err
		default:
			c.say(said, "", "cannot be reached, trying on: "+err.Error())
		}
		if !c.now().Before(deadline) {
			return last, timedOut(limit, last, err)
		}
		if err := c.sleep(ctx, min(pollInterval, deadline.Sub(c.now()))); err != nil {
			return last, err
		}
	}
}

// look judges all gateways once.
func (c *cli) look(ctx context.Context, s *source, want func(context.Context, []configs.GatewayStatus) (wanted, error)) (*waitReport, error) {
	gateways, err := s.gateways(ctx)
	if err != nil {
		return nil, err
	}
	models, err := want(ctx, gateways)
	if err != nil {
		return nil, err
	}
	return judgeAll(gateways, models, c.now()), nil
}

// stillStored wants what was written, as long as it is what the store holds.
func (s *source) stillStored(model string, want wantedModel) func(context.Context, []configs.GatewayStatus) (wanted, error) {
	return func(ctx context.Context, _ []configs.GatewayStatus) (wanted, error) {
		item, ok, err := s.Get(ctx, keyOf(model))
		switch {
		case err != nil:
			return nil, fmt.Errorf("read %s: %w", model, err)
		case !ok:
			return nil, fmt.Errorf("%s was deleted meanwhile", model)
		case configs.EntryDigest(item.Value) != want.digest:
			return nil, fmt.Errorf("somebody wrote another document of %s meanwhile, at index %d", model, item.Index)
		}
		return wanted{model: want}, nil
	}
}

// timedOut says what is still missing after the time is over.
func timedOut(limit time.Duration, last *waitReport, err error) error {
	if err != nil {
		return fmt.Errorf("after %s: %w", limit, err)
	}
	if len(last.Gateways) == 0 {
		return fmt.Errorf("after %s no gateway reports its status", limit)
	}
	for _, s := range last.Gateways {
		if s.State != stateInForce {
			return fmt.Errorf("after %s %s is not in force everywhere: %s: %s", limit, s.Model, s.Instance, s.Why)
		}
	}
	return fmt.Errorf("after %s: not in force everywhere", limit)
}

// progress prints what is new since the last look, a line per gateway.
func (c *cli) progress(r *waitReport, said map[string]string) {
	if len(r.Gateways) == 0 {
		c.say(said, "", "no gateway reports its status yet")
	}
	for _, s := range r.Gateways {
		text := s.State
		if s.Why != "" {
			text += ": " + s.Why
		}
		c.say(said, s.Instance+": "+s.Model, text)
	}
}

// say prints a line once until it changes.
func (c *cli) say(said map[string]string, who, text string) {
	if said[who] == text {
		return
	}
	said[who] = text
	if who != "" {
		who += ": "
	}
	c.note("%s%s", who, text)
}

// gateways are the status of all live gateways, by instance.
func (s *source) gateways(ctx context.Context) ([]configs.GatewayStatus, error) {
	items, err := s.List(ctx, configs.StatusPrefix)
	if err != nil {
		return nil, fmt.Errorf("read the gateways' status: %w", err)
	}
	all := make([]configs.GatewayStatus, 0, len(items))
	for _, item := range items {
		status, err := configs.ParseStatus(item.Value)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", item.Key, err)
		}
		// The key is bound to the gateway's life, so its name counts.
		status.Instance = item.Key[len(configs.StatusPrefix):]
		all = append(all, status)
	}
	return all, nil
}
