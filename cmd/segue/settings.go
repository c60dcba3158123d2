package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/pflag"
)

// setting is one thing that is fixed when the process starts. Its value comes
// from the first of: the flag, SEGUE_ and the flag's name, the field's own
// environment variable, the default. What may change while the process runs is
// never a setting: it is in a document.
type setting struct {
	flag string
	// field is the variable that the field knows it by, empty for none.
	field string
	// fromField turns the field's value into the flag's; nil keeps it.
	fromField func(string) string
	fallback  string
	help      string

	value  string
	origin string
}

// settings are the process's settings by flag name.
type settings struct{ list []*setting }

func port(value string) string { return ":" + value }

func newSettings(getenv func(string) string) *settings {
	return &settings{[]*setting{
		{flag: "config", help: "where configuration comes from: file:DIR or consul:[//HOST:PORT/]PREFIX"},
		{flag: "state-dir", fallback: defaultStateDir(getenv), help: "folder for the last good configuration, the artifact cache, overrides and audit"},
		{flag: "memory-limit", help: "most memory that the process may take when versions are loaded (default: its control group's limit, else what the machine has)"},
		{flag: "cache-size", fallback: "10GiB", help: "most that artifacts from other machines may take on disk, in state-dir/artifacts"},
		{flag: "artifact-hosts", help: "hosts beyond public ones that documents may fetch artifacts from: names, addresses, networks (10.0.0.0/8), comma separated, or *"},
		{flag: "instance", help: "name under which this gateway is seen (default host name and data port)"},
		{flag: "http-addr", field: "API_PORT", fromField: port, fallback: ":8000", help: "data API over HTTP, or off"},
		{flag: "grpc-addr", field: "GRPC_PORT", fromField: port, fallback: ":8001", help: "data API over gRPC, or off"},
		{flag: "unix-socket", fallback: "off", help: "data API over HTTP on a Unix socket at this path, for its owner and group (0660), or off"},
		{flag: "metrics-addr", field: "METRICS_PORT", fromField: port, fallback: ":8002", help: "metrics and health, or off"},
		{flag: "metrics-endpoint", field: "METRICS_ENDPOINT", fallback: "/metrics", help: "path of the metrics"},
		{flag: "enable-monitoring", field: "ENABLE_MONITORING", fallback: "true", help: "false switches the metrics listener off"},
		{flag: "native-histograms", fallback: "false", help: "true gives histograms of requests Prometheus's native form too"},
		{flag: "admin-addr", fallback: "127.0.0.1:8003", help: "admin listener, or off; beyond loopback it needs TLS or an admin key"},
		{flag: "tls-cert", help: "certificate of the data listeners (PEM file, re-read when it changes)"},
		{flag: "tls-key", help: "its private key"},
		{flag: "metrics-tls-cert", help: "certificate of the metrics listener"},
		{flag: "metrics-tls-key", help: "its private key"},
		{flag: "admin-tls-cert", help: "certificate of the admin listener"},
		{flag: "admin-tls-key", help: "its private key"},
		{flag: "app-env", field: "APP_ENV", fallback: "development", help: "development, staging or production: defaults of logging, never of serving"},
		{flag: "log-level", field: "LOG_LEVEL", fallback: "info", help: "debug, info, warn or error"},
		{flag: "log-format", help: "json or text (default text in development, else json)"},
		{flag: "model-version", field: "MODEL_VERSION", fallback: "latest", help: "default version policy where a document gives no weights: latest or a version"},
		{flag: "batch-size", field: "BATCH_SIZE", fallback: "32", help: "default largest batch"},
		{flag: "max-sequence-length", field: "MAX_SEQUENCE_LENGTH", fallback: "0", help: "largest size of a dynamic dimension other than the batch; 0 is no limit"},
		{flag: "shutdown-delay", fallback: "5s", help: "how long requests are still accepted after SIGTERM"},
		{flag: "shutdown-timeout", fallback: "30s", help: "how long requests under way may take after that"},
		{flag: "onnxruntime-lib", field: "ONNXRUNTIME_LIB", help: "path of libonnxruntime (default: beside the program, ../lib, the cache)"},
	}}
}

func defaultStateDir(getenv func(string) string) string {
	if os.Geteuid() == 0 {
		return "/var/lib/segue"
	}
	if dir := getenv("XDG_STATE_HOME"); dir != "" {
		return filepath.Join(dir, "segue")
	}
	return filepath.Join(getenv("HOME"), ".local", "state", "segue")
}

// register adds a flag for every setting.
func (s *settings) register(flags *pflag.FlagSet) {
	for _, one := range s.list {
		usage := one.help
		if one.field != "" {
			usage += " [" + one.field + "]"
		}
		flags.String(one.flag, one.fallback, usage)
	}
}

// resolve finds every value and where it came from.
func (s *settings) resolve(flags *pflag.FlagSet, getenv func(string) string) {
	for _, one := range s.list {
		name := "SEGUE_" + strings.ToUpper(strings.ReplaceAll(one.flag, "-", "_"))
		switch {
		case flags.Changed(one.flag):
			one.value, one.origin = flags.Lookup(one.flag).Value.String(), "--"+one.flag
		case getenv(name) != "":
			one.value, one.origin = getenv(name), name
		case one.field != "" && getenv(one.field) != "":
			one.value, one.origin = getenv(one.field), one.field
			if one.fromField != nil {
				one.value = one.fromField(one.value)
			}
		default:
			one.value, one.origin = one.fallback, "default"
		}
	}
}

// find returns the setting of a flag, which must be one of newSettings.
func (s *settings) find(flag string) *setting {
	return s.list[slices.IndexFunc(s.list, func(one *setting) bool { return one.flag == flag })]
}

func (s *settings) get(flag string) string { return s.find(flag).value }

// set gives a setting a value that follows from others.
func (s *settings) set(flag, value, origin string) {
	one := s.find(flag)
	one.value, one.origin = value, origin
}

// print lists every setting, its value and where it came from, and then those
// of Consul's and MLflow's own clients, secrets masked.
func (s *settings) print(w io.Writer, environ []string) error {
	tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	for _, one := range s.list {
		fmt.Fprintf(tw, "%s\t%s\t%s\n", one.flag, one.value, one.origin)
	}
	for _, entry := range slices.Sorted(slices.Values(environ)) {
		name, value, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, "CONSUL_") && !strings.HasPrefix(name, "MLFLOW_TRACKING_") {
			continue
		}
		// An address may have a password in it, though it is refused then.
		if slices.Contains(clientSecrets, name) || name == "MLFLOW_TRACKING_URI" && strings.Contains(value, "@") {
			value = "********"
		}
		fmt.Fprintf(tw, "%s\t%s\tenvironment\n", name, value)
	}
	return tw.Flush()
}

// clientSecrets are the variables of these clients that hold a secret
// themselves.
var clientSecrets = []string{"CONSUL_HTTP_TOKEN", "CONSUL_HTTP_AUTH", "MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_PASSWORD"}
