package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Fleet is the prefix under which the documents lie in Consul.
const Fleet = "segue/bench"

// Consul is a running agent that keeps everything in memory.
type Consul struct {
	*Process
	// Addr is the host and port of its HTTP API.
	Addr string
}

// ConsulBinary finds the agent: CONSUL_BINARY if it is set, else the one that
// make consul leaves in the cache.
func ConsulBinary(getenv func(string) string) (string, error) {
	path := getenv("CONSUL_BINARY")
	if path == "" {
		path = filepath.Join(cacheFolder(getenv), "bin", "consul-1.22.0")
	}
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("the Consul agent, which make consul builds and CONSUL_BINARY may name: %w", err)
	}
	return path, nil
}

// cacheFolder is where the Makefile and the scripts leave what they install.
func cacheFolder(getenv func(string) string) string {
	if cache := getenv("SEGUE_CACHE"); cache != "" {
		return cache
	}
	if cache := getenv("XDG_CACHE_HOME"); cache != "" {
		return filepath.Join(cache, "segue")
	}
	return filepath.Join(getenv("HOME"), ".cache", "segue")
}

// ConsulVersion asks a binary for its version.
func ConsulVersion(binary string) (string, error) {
	out, err := exec.Command(binary, "version").Output()
	if err != nil {
		return "", fmt.Errorf("ask Consul for its version: %w", err)
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return strings.TrimPrefix(strings.TrimSpace(line), "Consul "), nil
}

// StartConsul starts an agent of development mode and waits until it has a
// leader. dir is an empty folder of its own.
func StartConsul(ctx context.Context, binary, dir string) (*Consul, error) {
	addresses, err := freeAddresses(3)
	if err != nil {
		return nil, err
	}
	port := func(i int) string { return addresses[i][strings.LastIndexByte(addresses[i], ':')+1:] }
	env := make([]string, 0, len(os.Environ()))
	for _, entry := range os.Environ() {
		if !strings.HasPrefix(entry, "CONSUL_") { // meant for clients of another agent
			env = append(env, entry)
		}
	}
	c := &Consul{Addr: addresses[0]}
	c.Process, err = start(nil, nil, env, binary, "agent", "-dev", "-bind=127.0.0.1", "-client=127.0.0.1",
		"-http-port="+port(0), "-serf-lan-port="+port(1), "-server-port="+port(2),
		"-dns-port=-1", "-grpc-port=-1", "-grpc-tls-port=-1", "-serf-wan-port=-1",
		"-data-dir="+dir, "-disable-host-node-id", "-log-level=warn", "-hcl", "disable_update_check = true")
	if err != nil {
		return nil, err
	}
	err = c.await(ctx, readyWithin, func() error {
		leader, err := call("GET", "http://"+c.Addr+"/v1/status/leader", nil)
		if err == nil && len(leader) <= len(`""`) {
			err = errors.New("no leader")
		}
		return err
	})
	if err != nil {
		c.Stop()
		return nil, err
	}
	return c, nil
}

// Source is the gateway's --config for this agent.
func (c *Consul) Source() string { return "consul://" + c.Addr + "/" + Fleet }

// Put writes a value under the fleet's prefix and returns the index of the
// change.
func (c *Consul) Put(key string, value []byte) (index uint64, err error) {
	if err := c.Write(key, value); err != nil {
		return 0, err
	}
	return c.Index(key)
}

// Write writes a value as consul kv put does.
func (c *Consul) Write(key string, value []byte) error {
	if _, err := call("PUT", c.url(key), value); err != nil {
		return fmt.Errorf("put %s: %w", key, err)
	}
	return nil
}

// Index returns the index of a key's last change.
func (c *Consul) Index(key string) (uint64, error) {
	text, err := call("GET", c.url(key), nil)
	if err != nil {
		return 0, fmt.Errorf("get %s: %w", key, err)
	}
	var pairs []struct{ ModifyIndex uint64 }
	if err := json.Unmarshal(text, &pairs); err != nil {
		return 0, fmt.Errorf("get %s: %w", key, err)
	}
	if len(pairs) != 1 {
		return 0, fmt.Errorf("get %s: %d keys", key, len(pairs))
	}
	return pairs[0].ModifyIndex, nil
}

func (c *Consul) url(key string) string { return "http://" + c.Addr + "/v1/kv/" + Fleet + "/" + key }

// PutSettings writes the settings of the whole gateway, which are also the
// sentinel without which deletions do not count.
func (c *Consul) PutSettings() error {
	return c.Write("settings", []byte(settings))
}
