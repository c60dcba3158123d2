package main

import (
	"context"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/segue-serving/segue/configs/consul"
	"github.com/segue-serving/segue/configs/consul/consultest"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"seguectl": func() { os.Exit(mainCode()) }})
}

// Every script of testdata/script runs against a folder and against a real
// Consul: the tool promises the same for both. What differs has scripts of its
// own in file and consul.

func TestScriptsOnAFolder(t *testing.T) {
	for _, dir := range []string{"testdata/script", "testdata/script/file"} {
		testscript.Run(t, params(dir, func(env *testscript.Env) string {
			return "file:" + filepath.Join(env.WorkDir, "fleet")
		}))
	}
}

func TestScriptsOnConsul(t *testing.T) {
	agent := consultest.Start(t, consultest.Options{ACL: true})
	t.Setenv("CONSUL_HTTP_TOKEN", agent.Token) // for what the scripts do beside the tool
	for _, dir := range []string{"testdata/script", "testdata/script/consul"} {
		p := params(dir, func(env *testscript.Env) string {
			prefix := "segue/" + filepath.Base(env.WorkDir)
			env.Setenv("CONSUL_HTTP_TOKEN", agent.Token)
			env.Setenv("PREFIX", prefix)
			return "consul://" + agent.Addr + "/" + prefix
		})
		p.Cmds["token"] = func(ts *testscript.TestScript, neg bool, args []string) { tokenCommand(ts, agent, neg, args) }
		testscript.Run(t, p)
	}
}

// tokenCommand makes the script go on with a token of a role: token operator.
func tokenCommand(ts *testscript.TestScript, agent *consultest.Agent, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: token ROLE")
	}
	rules, err := consul.InitRules(ts.Getenv("PREFIX"))
	ts.Check(err)
	text, ok := map[string]string{"gateway": rules.Gateway, "operator": rules.Operator, "reader": rules.Reader}[args[0]]
	if !ok {
		ts.Fatalf("no role %q", args[0])
	}
	ts.Setenv("CONSUL_HTTP_TOKEN", agent.NewToken(strings.ReplaceAll(ts.Name(), "_", "-")+"-"+args[0], text))
}

func params(dir string, config func(*testscript.Env) string) testscript.Params {
	return testscript.Params{
		Dir:                 dir,
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			if err := os.MkdirAll(filepath.Join(env.WorkDir, "fleet"), 0o755); err != nil {
				return err
			}
			env.Setenv("SEGUE_STATE_DIR", filepath.Join(env.WorkDir, "state"))
			env.Setenv("USER", "ada")
			// Under the race detector every run of the tool would sleep for a
			// second at its end.
			env.Setenv("GORACE", "atexit_sleep_ms=0")
			env.Values[stopsKey{}] = map[string]func(){}
			env.Setenv("SEGUE_CONFIG", config(env))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"code":    codeCommand,
			"gateway": gatewayCommand,
			"direct":  directCommand,
			"names":   namesCommand,
		},
	}
}

// codeCommand runs a program and wants an exit code: code 5 seguectl plan x.
func codeCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code N program args...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	err = ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		got = exit.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// stopsKey finds the functions that stop a script's gateways, by name.
type stopsKey struct{}

// gatewayCommand starts a gateway that is none: gateway NAME MODE; MODE is one
// of those of fakeGateway, or off.
func gatewayCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: gateway NAME follow|refuse|stuck|off")
	}
	stops := ts.Value(stopsKey{}).(map[string]func())
	name, mode := args[0], args[1]
	if stop := stops[name]; stop != nil {
		stop()
	}
	if mode == "off" {
		return
	}
	stop := startGateway(ts, name, mode)
	stops[name] = stop
	ts.Defer(stop)
}

// directCommand writes a file under a key as somebody without the tool would:
// direct KEY FILE.
func directCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: direct KEY FILE")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	s := scriptSource(ts)
	ts.Check(overwrite(ctx, s, args[0], []byte(ts.ReadFile(args[1]))))
}

// namesCommand wants exactly these keys under a prefix: names audit/x/ A B.
func namesCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: names PREFIX [KEY…]")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	items, err := scriptSource(ts).List(ctx, args[0])
	ts.Check(err)
	var keys []string
	for _, item := range items {
		keys = append(keys, strings.TrimPrefix(item.Key, args[0]))
	}
	if got, want := strings.Join(keys, " "), strings.Join(args[1:], " "); got != want {
		ts.Fatalf("under %s there are %q, want %q", args[0], got, want)
	}
}
