package main

import (
	"context"
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/segue-serving/segue/configs/configstest"
)

func TestWeightsAreReadFromArguments(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args     string
		relative bool
		want     map[string]float64
		problem  string
	}{
		{"1=90 2=10", false, map[string]float64{"1": 90, "2": 10}, ""},
		{"1=90% 2=10%", false, map[string]float64{"1": 90, "2": 10}, ""},
		{"1=33.33 2=33.33 3=33.33", false, map[string]float64{"1": 33.33, "2": 33.33, "3": 33.33}, ""},
		{"a.b=100 c=0", false, map[string]float64{"a.b": 100, "c": 0}, ""},
		{"1=2 2=1", true, map[string]float64{"1": 2, "2": 1}, ""},
		{"1=2 2=1", false, nil, "sum to 3, not to 100"},
		{"1=99.9", false, nil, "sum to 99.9, not to 100"},
		{"1=0", true, nil, "all weights are zero"},
		{"1=50 1=50", false, nil, "named twice"},
		{"1", false, nil, "is not VERSION=WEIGHT"},
		{"=100", false, nil, "is not VERSION=WEIGHT"},
		{"1=", false, nil, "is not VERSION=WEIGHT"},
		{"1=ten", false, nil, "not a number"},
		{"1=-1 2=101", false, nil, "negative"},
		{"1=Inf", true, nil, "not finite"},
		{"1=NaN", true, nil, "not finite"},
		{"1=1e999", true, nil, "not a number"},
	} {
		got, err := weightArgs(strings.Fields(c.args), c.relative)
		var usage usageError
		switch {
		case c.problem == "" && (err != nil || !maps.Equal(got, c.want)):
			t.Errorf("%s: %v, %v, want %v", c.args, got, err, c.want)
		case c.problem != "" && (!errors.As(err, &usage) || !strings.Contains(err.Error(), c.problem)):
			t.Errorf("%s: %v, want a usage error with %q", c.args, err, c.problem)
		}
	}
}

func FuzzWeightArgumentsAreFiniteAndPositive(f *testing.F) {
	f.Add("1", "100")
	f.Add("2", "1e3%")
	f.Fuzz(func(t *testing.T, version, text string) {
		weights, err := weightArgs([]string{version + "=" + text}, true)
		if err != nil {
			return
		}
		for name, weight := range weights {
			if name == "" || !(weight > 0) || weight > 1e308 {
				t.Errorf("%q=%q is read as %q: %v", version, text, name, weight)
			}
		}
	})
}

func TestSettingsComeFromFlagThenEnvironmentThenDefault(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args   []string
		env    map[string]string
		config string
		code   int
	}{
		{[]string{"ls"}, nil, "", exitUsage},
		{[]string{"ls"}, map[string]string{"SEGUE_CONFIG": "from environment"}, "from environment", exitDone},
		{[]string{"ls", "--config", "from flag"}, map[string]string{"SEGUE_CONFIG": "from environment"}, "from flag", exitDone},
		{[]string{"ls"}, map[string]string{"SEGUE_CONFIG": "x", "SEGUE_JSON": "maybe"}, "", exitUsage},
		{[]string{"revert", "mozart"}, map[string]string{"SEGUE_CONFIG": "x"}, "", exitUsage},
		{[]string{"revert", "mozart"}, map[string]string{"SEGUE_CONFIG": "x", "SEGUE_TO": "7"}, "x", exitFailed},
	} {
		r := newRun(configstest.NewStore())
		r.cli.lookupEnv = func(name string) (string, bool) { value, ok := c.env[name]; return value, ok }
		open := r.cli.open
		var config string
		r.cli.open = func(ctx context.Context, named, stateDir string) (*source, error) {
			config = named
			return open(ctx, named, stateDir)
		}
		if code := r.code(t, c.args...); code != c.code || config != c.config {
			t.Errorf("%v with %v: exit code %d and %q, want %d and %q", c.args, c.env, code, config, c.code, c.config)
		}
	}
}

func TestTheStateFolderIsTheGateways(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		uid  int
		env  map[string]string
		want string
	}{
		{0, map[string]string{"XDG_STATE_HOME": "/x", "HOME": "/h"}, "/var/lib/segue"},
		{7, map[string]string{"XDG_STATE_HOME": "/x", "HOME": "/h"}, "/x/segue"},
		{7, map[string]string{"HOME": "/h"}, "/h/.local/state/segue"},
	} {
		if got := defaultStateDir(c.uid, func(name string) string { return c.env[name] }); got != c.want {
			t.Errorf("uid %d with %v: %s, want %s", c.uid, c.env, got, c.want)
		}
	}
}
