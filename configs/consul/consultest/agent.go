package consultest

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// Options choose what kind of agent Start runs.
type Options struct {
	// Persistent runs a server that keeps its data in a folder, so that
	// Restart brings the data back. Without it the agent is one of
	// development mode, which keeps everything in memory and starts faster.
	Persistent bool
	// ACL switches access control on with a default of deny. Agent.Token is
	// then a token that may do everything.
	ACL bool
	// Config is more configuration of the agent, in HCL.
	Config string
}

// startTimeout is how long an agent may take until it has a leader. It takes
// one to two seconds on an idle machine.
const startTimeout = 45 * time.Second

// managementToken is the token of an agent with ACL. It guards nothing but a
// test's data on the loopback interface.
const managementToken = "5e60e000-0000-4000-8000-000000000001"

// Agent is one running, or stopped, Consul agent. Its methods fail the test
// where they cannot do what they say; they are not for concurrent use, but for
// the methods of the key-value store.
type Agent struct {
	// Addr is host:port of the HTTP API. It never changes.
	Addr string
	// Token may do everything; empty without ACL.
	Token string

	t       testing.TB
	options Options
	binary  string
	dir     string
	data    string
	ports   ports
	process *process
	starts  int
}

// Start runs an agent and returns when it has a leader. The agent ends with
// the test.
func Start(t testing.TB, options Options) *Agent {
	t.Helper()
	a := &Agent{t: t, options: options, binary: Binary(t), dir: t.TempDir(), ports: freePorts(t)}
	a.Addr = "127.0.0.1:" + strconv.Itoa(a.ports.http)
	if options.ACL {
		a.Token = managementToken
	}
	a.newData()
	t.Cleanup(func() {
		a.Kill()
		if t.Failed() {
			a.logTail()
		}
	})
	a.run()
	return a
}

// Stop asks the agent to end and waits until it has.
func (a *Agent) Stop() {
	a.t.Helper()
	if a.process == nil {
		return
	}
	if err := a.process.interrupt(10 * time.Second); err != nil {
		a.t.Errorf("stop Consul: %v", err)
	}
	a.process = nil
}

// Kill ends the agent as a crash would and waits until it is gone. Killing one
// that does not run does nothing.
func (a *Agent) Kill() {
	if a.process == nil {
		return
	}
	a.process.kill()
	a.process = nil
}

// Restart runs the stopped agent again on the same ports: with its data where
// it is persistent, empty otherwise.
func (a *Agent) Restart() {
	a.t.Helper()
	a.Kill()
	a.run()
}

// RestartEmpty runs the agent again on the same ports without any data, as a
// cluster that was set up anew: its indexes start from the beginning.
func (a *Agent) RestartEmpty() {
	a.t.Helper()
	a.Kill()
	a.newData()
	a.run()
}

// CopyData copies the data of a stopped persistent agent, for RestartFrom.
func (a *Agent) CopyData() string {
	a.t.Helper()
	if a.process != nil || !a.options.Persistent {
		a.t.Fatal("CopyData needs a persistent agent that is stopped")
	}
	copied := filepath.Join(a.t.TempDir(), "data")
	if err := os.CopyFS(copied, os.DirFS(a.data)); err != nil {
		a.t.Fatalf("copy Consul's data: %v", err)
	}
	return copied
}

// RestartFrom runs the agent again on data that CopyData returned: the same
// cluster at an older index. The copy is used up.
func (a *Agent) RestartFrom(copied string) {
	a.t.Helper()
	a.Kill()
	a.data = copied
	a.run()
}

func (a *Agent) newData() {
	a.starts++
	a.data = filepath.Join(a.dir, "data"+strconv.Itoa(a.starts))
	if err := os.Mkdir(a.data, 0o755); err != nil {
		a.t.Fatalf("folder for Consul's data: %v", err)
	}
}

// run starts the process and waits for a leader, and with ACL until the token
// may write.
func (a *Agent) run() {
	a.t.Helper()
	started, err := startProcess(a.binary, a.arguments(), a.logPath())
	if err != nil {
		a.t.Fatalf("start Consul: %v", err)
	}
	a.process = started
	deadline := time.Now().Add(startTimeout)
	for !a.ready() {
		if started.ended() || time.Now().After(deadline) {
			a.logTail()
			a.t.Fatalf("Consul at %s did not become ready", a.Addr)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// ready reports whether a consistent read is answered, which needs a leader
// and, with ACL, a token that is known already.
func (a *Agent) ready() bool {
	status, _, err := a.call("GET", "/v1/kv/ready?consistent", nil)
	if err != nil || status != 404 {
		return false
	}
	if a.Token == "" {
		return true
	}
	status, _, err = a.call("GET", "/v1/acl/token/self", nil)
	return err == nil && status == 200
}

func (a *Agent) arguments() []string {
	p := a.ports
	list := []string{
		"agent", "-bind=127.0.0.1", "-client=127.0.0.1",
		"-http-port=" + strconv.Itoa(p.http), "-serf-lan-port=" + strconv.Itoa(p.serf), "-server-port=" + strconv.Itoa(p.server),
		"-dns-port=-1", "-grpc-port=-1", "-grpc-tls-port=-1", "-serf-wan-port=-1",
		"-data-dir=" + a.data, "-disable-host-node-id", "-log-level=warn",
		"-hcl", `disable_update_check = true`,
	}
	if a.options.Persistent {
		// The default multiplier of 5 makes a lone server wait some seconds
		// before it elects itself.
		list = append(list, "-server", "-bootstrap-expect=1", "-hcl", `performance { raft_multiplier = 1 }`)
	} else {
		list = append(list, "-dev")
	}
	if a.options.ACL {
		list = append(list, "-hcl", fmt.Sprintf(
			`acl { enabled = true, default_policy = "deny", enable_token_persistence = false, tokens { initial_management = %q, agent = %q } }`,
			managementToken, managementToken))
	}
	if a.options.Config != "" {
		list = append(list, "-hcl", a.options.Config)
	}
	return list
}

func (a *Agent) logPath() string { return filepath.Join(a.dir, "consul.log") }

// logTail prints the end of the agent's log into the test's.
func (a *Agent) logTail() {
	raw, err := os.ReadFile(a.logPath())
	if err != nil {
		return
	}
	const most = 4000
	if len(raw) > most {
		raw = raw[len(raw)-most:]
	}
	a.t.Logf("the end of Consul's log:\n%s", raw)
}
