package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

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
	secret    bool

	value  string
	origin string
}

// settings are the process's settings by flag name.
type settings struct{ list []*setting }

func port(value string) string { return ":" + value }

func newSettings(getenv func(string) string) *settings {
	return &settings{[]*setting{
		{flag: "config", help: "where configuration comes from: file:DIR or consul:[//HOST:PORT/]PREFIX"},
		{flag: "state-dir", fallback: defaultStateDir(getenv), help: "folder for the last good configuration, overrides and audit"},
		{flag: "instance", help: "name under which this gateway is seen (default host name and data port)"},
		{flag: "http-addr", field: "API_PORT", fromField: port, fallback: ":8000", help: "data API over HTTP, or off"},
		{flag: "unix-socket", fallback: "off", help: "data API over HTTP on a Unix socket at this path, or off"},
		{flag: "metrics-addr", field: "METRICS_PORT", fromField: port, fallback: ":8002", help: "metrics and health, or off"},
		{flag: "metrics-endpoint", field: "METRICS_ENDPOINT", fallback: "/metrics", help: "path of the metrics"},
		{flag: "enable-monitoring", field: "ENABLE_MONITORING", fallback: "true", help: "false switches the metrics listener off"},
		{flag: "admin-addr", fallback: "127.0.0.1:8003", help: "admin listener, or off; beyond loopback it needs TLS or an admin key"},
		{flag: "tls-cert", help: "certificate of the data listener (PEM file, re-read when it changes)"},
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
		{flag: "consul-token", field: "CONSUL_HTTP_TOKEN", secret: true, help: "token for Consul; CONSUL_HTTP_TOKEN_FILE is re-read when it changes"},
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

func (s *settings) get(flag string) string {
	i := slices.IndexFunc(s.list, func(one *setting) bool { return one.flag == flag })
	return s.list[i].value
}

// set gives a setting a value that follows from others.
func (s *settings) set(flag, value, origin string) {
	i := slices.IndexFunc(s.list, func(one *setting) bool { return one.flag == flag })
	s.list[i].value, s.list[i].origin = value, origin
}

// print lists every setting, its value and where it came from, secrets masked.
func (s *settings) print(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	for _, one := range s.list {
		value := one.value
		if one.secret && value != "" {
			value = "********"
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\n", one.flag, value, one.origin)
	}
	return tw.Flush()
}

// process is what the settings say, checked and typed.
type process struct {
	config, stateDir, instance                string
	httpAddr, unixSocket, metricsAddr         string
	metricsEndpoint, adminAddr                string
	data, metrics, admin                      keyPair
	appEnv, logLevel, logFormat, modelVersion string
	batchSize, maxDimension                   int
	shutdownDelay, shutdownTimeout            time.Duration
	library                                   string
}

// keyPair names the files of a listener's certificate; both empty is none.
type keyPair struct{ cert, key string }

// check turns the settings into a process, or names everything that is wrong.
func (s *settings) check(hostname string) (process, error) {
	var problems []error
	bad := func(flag, want string) {
		problems = append(problems, fmt.Errorf("%s is %q: want %s", flag, s.get(flag), want))
	}
	p := process{
		config: s.get("config"), stateDir: s.get("state-dir"),
		metricsEndpoint: s.get("metrics-endpoint"), modelVersion: s.get("model-version"), library: s.get("onnxruntime-lib"),
	}
	if scheme, rest, _ := strings.Cut(p.config, ":"); rest == "" || (scheme != "file" && scheme != "consul") {
		bad("config", "file:DIR or consul:[//HOST:PORT/]PREFIX (for a first look: --config file:configs/examples/quickstart)")
	}
	for _, address := range []struct {
		flag string
		to   *string
	}{{"http-addr", &p.httpAddr}, {"metrics-addr", &p.metricsAddr}, {"admin-addr", &p.adminAddr}} {
		value := s.get(address.flag)
		if value == "off" {
			continue
		}
		if _, portName, err := net.SplitHostPort(value); err != nil || !isPort(portName) {
			bad(address.flag, "HOST:PORT, :PORT or off")
		}
		*address.to = value
	}
	if v := s.get("unix-socket"); v != "off" {
		p.unixSocket = v
	}
	if p.httpAddr == "" && p.unixSocket == "" {
		problems = append(problems, errors.New("http-addr and unix-socket are both off: nothing would be served"))
	}
	switch on, err := strconv.ParseBool(s.get("enable-monitoring")); {
	case err != nil:
		bad("enable-monitoring", "true or false")
	case !on:
		p.metricsAddr = ""
	}
	if !strings.HasPrefix(p.metricsEndpoint, "/") || p.metricsEndpoint == "/livez" || p.metricsEndpoint == "/readyz" {
		bad("metrics-endpoint", "a path such as /metrics, other than /livez and /readyz")
	}
	for prefix, pair := range map[string]*keyPair{"": &p.data, "metrics-": &p.metrics, "admin-": &p.admin} {
		*pair = keyPair{s.get(prefix + "tls-cert"), s.get(prefix + "tls-key")}
		if (pair.cert == "") != (pair.key == "") {
			problems = append(problems, fmt.Errorf("%stls-cert and %stls-key go together", prefix, prefix))
		}
	}
	oneOf := func(flag string, allowed ...string) string {
		if !slices.Contains(allowed, s.get(flag)) {
			bad(flag, strings.Join(allowed, ", "))
		}
		return s.get(flag)
	}
	p.appEnv = oneOf("app-env", "development", "staging", "production")
	if s.get("log-format") == "" {
		s.set("log-format", map[bool]string{true: "text", false: "json"}[p.appEnv == "development"], "app-env")
	}
	p.logFormat = oneOf("log-format", "json", "text")
	s.set("log-level", strings.Replace(strings.ToLower(s.get("log-level")), "warning", "warn", 1), s.originOf("log-level"))
	p.logLevel = oneOf("log-level", "debug", "info", "warn", "error")
	number := func(flag string, least int) int {
		n, err := strconv.Atoi(s.get(flag))
		if err != nil || n < least {
			bad(flag, fmt.Sprintf("a whole number from %d", least))
		}
		return n
	}
	p.batchSize = number("batch-size", 1)
	p.maxDimension = number("max-sequence-length", 0)
	span := func(flag string) time.Duration {
		d, err := time.ParseDuration(s.get(flag))
		if err != nil || d < 0 {
			bad(flag, "a duration such as 5s")
		}
		return d
	}
	p.shutdownDelay, p.shutdownTimeout = span("shutdown-delay"), span("shutdown-timeout")
	if s.get("instance") == "" {
		_, portName, _ := net.SplitHostPort(p.httpAddr)
		s.set("instance", strings.Trim(hostname+"-"+portName, "-"), "host name and data port")
	}
	if p.instance = s.get("instance"); !validName(p.instance) {
		bad("instance", "letters, digits, '.', '_' and '-', at most 128")
	}
	return p, errors.Join(problems...)
}

func (s *settings) originOf(flag string) string {
	i := slices.IndexFunc(s.list, func(one *setting) bool { return one.flag == flag })
	return s.list[i].origin
}

func isPort(value string) bool {
	n, err := strconv.Atoi(value)
	return err == nil && n >= 0 && n <= 65535
}

func validName(name string) bool {
	ok := len(name) > 0 && len(name) <= 128
	for _, c := range name {
		ok = ok && (c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("._-", c))
	}
	return ok
}
