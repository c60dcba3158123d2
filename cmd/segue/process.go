package main

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/loader/store/egress"
)

// process is what the settings say, checked and typed.
type process struct {
	config, stateDir, instance                string
	httpAddr, grpcAddr, unixSocket            string
	metricsAddr, metricsEndpoint, adminAddr   string
	data, metrics, admin                      keyPair
	appEnv, logLevel, logFormat, modelVersion string
	batchSize, maxDimension                   int
	cacheSize, memoryLimit                    int64
	artifactHosts                             egress.Hosts
	shutdownDelay, shutdownTimeout            time.Duration
	library                                   string
	nativeHistograms                          bool
}

// keyPair names the files of a listener's certificate; both empty is none.
type keyPair struct{ cert, key string }

// checking collects all that is wrong with the settings.
type checking struct {
	*settings
	problems []error
}

// check turns the settings into a process, or names everything that is wrong.
func (s *settings) check(hostname string) (process, error) {
	c := &checking{settings: s}
	p := process{
		config: c.source(), stateDir: s.get("state-dir"), modelVersion: s.get("model-version"), library: s.get("onnxruntime-lib"),
		httpAddr: c.address("http-addr"), grpcAddr: c.address("grpc-addr"), metricsAddr: c.address("metrics-addr"), adminAddr: c.address("admin-addr"),
		data: c.keyPair(""), metrics: c.keyPair("metrics-"), admin: c.keyPair("admin-"),
		metricsEndpoint: c.metricsEndpoint(),
		appEnv:          c.oneOf("app-env", "development", "staging", "production"),
		batchSize:       c.number("batch-size", 1), maxDimension: c.number("max-sequence-length", 0),
		nativeHistograms: c.truth("native-histograms"), cacheSize: c.size("cache-size"), memoryLimit: c.optionalSize("memory-limit"),
		artifactHosts: c.hosts("artifact-hosts"),
		shutdownDelay: c.span("shutdown-delay"), shutdownTimeout: c.span("shutdown-timeout"),
	}
	if v := s.get("unix-socket"); v != "off" {
		p.unixSocket = v
	}
	if s.get("http-addr") == "off" && s.get("grpc-addr") == "off" && p.unixSocket == "" {
		c.problems = append(c.problems, errors.New("http-addr, grpc-addr and unix-socket are all off: nothing would be served"))
	}
	if !c.truth("enable-monitoring") {
		p.metricsAddr = ""
	}
	if s.get("log-format") == "" {
		s.set("log-format", map[bool]string{true: "text", false: "json"}[p.appEnv == "development"], "app-env")
	}
	p.logFormat = c.oneOf("log-format", "json", "text")
	s.set("log-level", strings.Replace(strings.ToLower(s.get("log-level")), "warning", "warn", 1), s.find("log-level").origin)
	p.logLevel = c.oneOf("log-level", "debug", "info", "warn", "error")
	if s.get("instance") == "" {
		_, portName, _ := net.SplitHostPort(p.httpAddr)
		s.set("instance", strings.Trim(hostname+"-"+portName, "-"), "host name and data port")
	}
	if p.instance = s.get("instance"); !validName(p.instance) {
		c.bad("instance", "letters, digits, '.', '_' and '-', at most 128")
	}
	return p, errors.Join(c.problems...)
}

func (c *checking) bad(flag, want string) {
	c.problems = append(c.problems, fmt.Errorf("%s is %q: want %s", flag, c.get(flag), want))
}

func (c *checking) source() string {
	config := c.get("config")
	if scheme, rest, _ := strings.Cut(config, ":"); rest == "" || (scheme != "file" && scheme != "consul") {
		c.bad("config", "file:DIR or consul:[//HOST:PORT/]PREFIX (for a first look: --config file:configs/examples/quickstart)")
	}
	return config
}

// address is where a listener listens, empty for off.
func (c *checking) address(flag string) string {
	value := c.get(flag)
	if value == "off" {
		return ""
	}
	if _, portName, err := net.SplitHostPort(value); err != nil || !isPort(portName) {
		c.bad(flag, "HOST:PORT, :PORT or off")
	}
	return value
}

func (c *checking) keyPair(prefix string) keyPair {
	pair := keyPair{c.get(prefix + "tls-cert"), c.get(prefix + "tls-key")}
	if (pair.cert == "") != (pair.key == "") {
		c.problems = append(c.problems, fmt.Errorf("%stls-cert and %stls-key go together", prefix, prefix))
	}
	return pair
}

func (c *checking) metricsEndpoint() string {
	value := c.get("metrics-endpoint")
	if !strings.HasPrefix(value, "/") || value == "/livez" || value == "/readyz" {
		c.bad("metrics-endpoint", "a path such as /metrics, other than /livez and /readyz")
	}
	return value
}

func (c *checking) oneOf(flag string, allowed ...string) string {
	if !slices.Contains(allowed, c.get(flag)) {
		c.bad(flag, strings.Join(allowed, ", "))
	}
	return c.get(flag)
}

func (c *checking) number(flag string, least int) int {
	n, err := strconv.Atoi(c.get(flag))
	if err != nil || n < least {
		c.bad(flag, fmt.Sprintf("a whole number from %d", least))
	}
	return n
}

func (c *checking) size(flag string) int64 {
	size, err := configs.ParseSize(c.get(flag))
	if err != nil || size <= 0 {
		c.bad(flag, "a size such as 10GiB")
	}
	return int64(size)
}

func (c *checking) hosts(flag string) egress.Hosts {
	hosts, err := egress.Parse(c.get(flag))
	if err != nil {
		c.bad(flag, "names of hosts, addresses and networks (10.0.0.0/8), separated by commas, or *")
	}
	return hosts
}

// optionalSize is 0 where nothing is given.
func (c *checking) optionalSize(flag string) int64 {
	if c.get(flag) == "" {
		return 0
	}
	return c.size(flag)
}

func (c *checking) truth(flag string) bool {
	on, err := strconv.ParseBool(c.get(flag))
	if err != nil {
		c.bad(flag, "true or false")
	}
	return on
}

func (c *checking) span(flag string) time.Duration {
	d, err := time.ParseDuration(c.get(flag))
	if err != nil || d < 0 {
		c.bad(flag, "a duration such as 5s")
	}
	return d
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
