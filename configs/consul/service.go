package consul

import (
	"context"
	"errors"
	"time"

	"github.com/hashicorp/consul/api"
)

// Service is what a gateway registers in Consul's catalogue.
type Service struct {
	// Name is the service's, ID the gateway's own: unique at its agent.
	Name string
	ID   string
	// Address and Port are where applications reach it. An empty address is
	// the agent's.
	Address string
	Port    int
	// CheckURL is asked by the agent every few seconds; 2xx passes. Empty
	// means no check.
	CheckURL string
	Tags     []string
	Meta     map[string]string
}

// Times of a service's check. Consul removes the service of a gateway that
// died without a word after a while.
const (
	checkEvery   = "5s"
	checkTimeout = "2s"
	checkRemoves = "10m"
)

// Register puts the service into the catalogue, or changes it there. It tries
// once.
func (f *Fleet) Register(ctx context.Context, s Service) error {
	registration := &api.AgentServiceRegistration{
		ID: s.ID, Name: s.Name, Address: s.Address, Port: s.Port, Tags: s.Tags, Meta: s.Meta,
	}
	if s.CheckURL != "" {
		registration.Check = &api.AgentServiceCheck{
			Name: "ready", HTTP: s.CheckURL, Method: "GET", Interval: checkEvery, Timeout: checkTimeout,
			DeregisterCriticalServiceAfter: checkRemoves,
		}
	}
	err := f.client.Agent().ServiceRegisterOpts(registration, api.ServiceRegisterOpts{}.WithContext(ctx))
	return explain("register "+s.ID, err)
}

// Deregister takes the service with that ID out of the catalogue. One that is
// not there is no error.
func (f *Fleet) Deregister(ctx context.Context, id string) error {
	err := f.client.Agent().ServiceDeregisterOpts(id, new(api.QueryOptions).WithContext(ctx))
	var status api.StatusError
	if errors.As(err, &status) && status.Code == 404 {
		return nil
	}
	return explain("deregister "+id, err)
}

// KeepRegistered registers the service, and again whenever the agent has
// forgotten it, until ctx ends; then it deregisters it and returns. Failures
// are logged once and tried again, never returned.
func (f *Fleet) KeepRegistered(ctx context.Context, s Service) {
	// What an earlier process with this ID registered may be another service.
	known, failing := false, false
	for {
		pause := f.tempo.registered
		if known {
			_, _, err := f.client.Agent().Service(s.ID, query(ctx, ""))
			known = err == nil
		}
		var err error
		if !known {
			err = f.Register(ctx, s)
			known = err == nil
		}
		if ctx.Err() != nil {
			break
		}
		if err != nil {
			pause = f.tempo.outage + jittered(f.tempo.outage, f.tempo.outage, 0)
			if !failing {
				f.log.Warn("service not registered, trying on", "id", s.ID, "err", err)
			}
		} else if failing {
			f.log.Info("service registered", "id", s.ID)
		}
		failing = err != nil
		if !sleep(ctx, pause) {
			break
		}
	}
	// ctx has ended, so this needs one of its own.
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), withdrawTime)
	defer cancel()
	if err := f.Deregister(last, s.ID); err != nil {
		f.log.Warn("service not deregistered", "id", s.ID, "err", err, "removed_after", 10*time.Minute)
	}
}
