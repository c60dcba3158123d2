package main

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/segue-serving/segue/cmd/segue/seguetest"
	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/configs/consul/consultest"
	"github.com/segue-serving/segue/loader/store/storetest"
	"github.com/segue-serving/segue/loader/store/storetest/toxic"
)

// far is a gateway whose artifacts come over a network that can be spoilt.
type far struct {
	*crashes
	proxy *toxic.Proxy
}

func newFar(t *testing.T, state string) *far {
	t.Helper()
	f := &far{crashes: newCrashes(t)}
	f.state = state
	f.proxy = toxic.Start(t, strings.TrimPrefix(f.shelf.URL, "http://"))
	f.shelf.URL = "http://" + f.proxy.Addr
	f.write()
	f.start()
	f.gw.WaitReady(t, 30*time.Second)
	f.becomes("1", configs.VersionReady, "")
	return f
}

// becomes waits until a version is in a state whose reason has some words, while
// all that is asked is answered.
func (f *far) becomes(version, state, reason string) configs.VersionStatus {
	f.t.Helper()
	var v configs.VersionStatus
	seguetest.Eventually(f.t, 60*time.Second, "version "+version+" is "+state+" "+reason, func() error {
		if _, err := f.ask(); err != nil {
			f.t.Fatalf("what served does not: %v", err)
		}
		v = f.gw.Status(f.t).Models["mozart"].Versions[version]
		if v.State != state || !strings.Contains(v.Reason, reason) {
			return fmt.Errorf("it is %s: %s", v.State, v.Reason)
		}
		return nil
	})
	return v
}

func TestAFailingStoreFailsTheNewVersionAlone(t *testing.T) {
	f := newFar(t, t.TempDir())
	f.proxy.Add(toxic.Fault{Type: "bandwidth", Attributes: map[string]int{"rate": 200}})
	version := f.write()
	v := f.becomes(version, "Fetching", "")
	for v.FetchedBytes == 0 || v.FetchedBytes >= v.SizeBytes || v.SizeBytes < 1<<20 {
		v = f.becomes(version, "Fetching", "")
	}
	f.proxy.Clear()
	f.becomes(version, configs.VersionReady, "")

	f.proxy.Down()
	version = f.write()
	v = f.becomes(version, configs.VersionFailed, "connection refused")
	if v.Attempt == 0 || v.RetryAt.IsZero() || !strings.Contains(v.Reason, f.shelf.URL) {
		t.Errorf("%+v", v)
	}
	// A restart serves what was in force, without the store.
	f.gw.Kill()
	f.start()
	f.gw.WaitReady(t, 20*time.Second)
	f.becomes(version, configs.VersionFailed, "connection refused")
	if hits, ok := f.gw.Metric(t, `segue_artifact_fetches_total{outcome="cached",scheme="http"}`); !ok || hits == "0" {
		t.Errorf("%q artifacts came from the cache", hits)
	}
	f.proxy.Up()
	f.becomes(version, configs.VersionReady, "")

	f.shelf.away.Store(fails)
	version = f.write()
	f.becomes(version, configs.VersionFailed, "503")
	f.shelf.away.Store(here)
	f.becomes(version, configs.VersionReady, "")
	if bytes, ok := f.gw.Metric(t, "segue_artifact_cache_bytes"); !ok || bytes == "0" {
		t.Errorf("the cache has %q bytes", bytes)
	}
}

func TestAFullDiskFailsTheNewVersionAlone(t *testing.T) {
	storetest.OnDisk(t, 4<<20, func(disk string) { fullDisk(t, disk) })
}

func fullDisk(t *testing.T, disk string) {
	f := newFar(t, filepath.Join(disk, "state"))
	ballast := filepath.Join(disk, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 4<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the disk is not full: %v", err)
	}
	version := f.write()
	f.becomes(version, configs.VersionFailed, "disk full: ")
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	f.becomes(version, configs.VersionReady, "")
}

func TestASpoiltWayToConsulChangesNothingAndTheNextWriteCounts(t *testing.T) {
	agent := consultest.Start(t, consultest.Options{})
	proxy := toxic.Start(t, agent.Addr)
	o := startOutage(t, agent, proxy.Addr)
	for _, c := range []struct {
		fault toxic.Fault
		// through says that writes come into force all the same.
		through bool
	}{
		{toxic.Fault{Type: "latency", Attributes: map[string]int{"latency": 300, "jitter": 100}}, true},
		{toxic.Fault{Type: "slicer", Attributes: map[string]int{"average_size": 16, "size_variation": 8, "delay": 100}}, true},
		{toxic.Fault{Type: "bandwidth", Attributes: map[string]int{"rate": 20}}, true},
		{toxic.Fault{Type: "reset_peer", Attributes: map[string]int{"timeout": 20}}, false},
		{toxic.Fault{Type: "limit_data", Attributes: map[string]int{"bytes": 100}}, false},
		{toxic.Fault{Type: "timeout", Attributes: map[string]int{"timeout": 500}}, false},
	} {
		proxy.Add(c.fault)
		if c.through {
			o.swap()
		}
		time.Sleep(1500 * time.Millisecond)
		o.serves("while the way to Consul has " + c.fault.Type)
		proxy.Clear()
		// Connections that were silent are given up after some seconds.
		took := o.swap()
		t.Logf("%s: the next write was in force after %s", c.fault.Type, took.Round(time.Millisecond))
	}
	wantMetric(t, o.Gateway, "segue_config_source_connected", "1")
	if answered := o.load.Stop(t); answered < lightLoad {
		t.Errorf("only %d answers: that was no load", answered)
	}
	if a := o.Get(t, "/v2/health/ready"); a.Code != http.StatusOK {
		t.Errorf("ready answers %d", a.Code)
	}
}

func TestWithoutAStateFolderArtifactsAreKeptAmongTheTemporaryFiles(t *testing.T) {
	c := newCrashes(t)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c.state = filepath.Join(file, "state")
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	version := c.write()
	c.start()
	c.gw.WaitReady(t, 30*time.Second)
	f := &far{crashes: c}
	f.becomes(version, configs.VersionReady, "")
	if !strings.Contains(c.gw.Log(), "the artifact cache cannot be written: artifacts are kept among the temporary files") {
		t.Errorf("its log does not say so:\n%s", c.gw.Log())
	}
	if kept, err := filepath.Glob(filepath.Join(temporary, "segue-artifacts-*", "entries", strings.TrimPrefix(c.digest[version], "sha256:"))); err != nil || len(kept) != 1 {
		t.Errorf("kept are %v, %v", kept, err)
	}
}
