package main

import (
	"context"
	"log/slog"
	"net"
	"strconv"
	"strings"

	"github.com/segue-serving/segue/configs/consul"
)

// keepRegistered shows the gateway in Consul's catalogue until ctx ends, and
// then takes it out. Serving does not depend on it.
func keepRegistered(ctx context.Context, fleet *consul.Fleet, p process, log *slog.Logger) {
	service := catalogueEntry(p)
	log.Info("registering in Consul's catalogue", "service", service.Name, "id", service.ID)
	fleet.KeepRegistered(ctx, service)
}

// catalogueEntry is the gateway as other services find it. Its ID has the port,
// because a second gateway may be started under the same instance name.
func catalogueEntry(p process) consul.Service {
	host, portName, _ := net.SplitHostPort(p.httpAddr)
	number, _ := strconv.Atoi(portName) // checked with the settings; 0 without a TCP listener
	service := consul.Service{
		Name: "segue", ID: "segue-" + p.instance, Address: specific(host, ""), Port: number,
		Meta: map[string]string{"version": version, "instance": p.instance},
	}
	if !strings.HasSuffix(service.ID, "-"+portName) {
		service.ID = strings.TrimSuffix(service.ID+"-"+portName, "-")
	}
	if p.metricsAddr == "" {
		return service
	}
	checkHost, checkPort, _ := net.SplitHostPort(p.metricsAddr)
	scheme := "http"
	if p.metrics.cert != "" {
		scheme = "https"
	}
	service.CheckURL = scheme + "://" + net.JoinHostPort(specific(checkHost, "127.0.0.1"), checkPort) + "/readyz"
	return service
}

// specific is a host that is not all of them, else the other.
func specific(host, other string) string {
	if ip := net.ParseIP(host); host == "" || (ip != nil && ip.IsUnspecified()) {
		return other
	}
	return host
}
