package consul

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/segue-serving/segue/configs"
)

// ToolFlag marks an entry as written by seguectl, which records its changes
// itself. It stands in the Flags of Consul's entry, which every other writer
// leaves at 0 and which a direct write therefore clears. The number spells
// "segue" in ASCII.
const ToolFlag uint64 = 0x7365677565

// Options are what Open needs.
type Options struct {
	// Spec is [//HOST:PORT/]PREFIX: segue/prod, or //consul:8500/segue/prod. A
	// host wins over CONSUL_HTTP_ADDR.
	Spec string
	// StateDir is where the last good copy is kept; empty keeps none.
	StateDir string
	// Log takes warnings and changes of connection; nil is silent.
	Log *slog.Logger
	// OnWrite is told of every write that the fleet makes by itself, which are
	// those of the status and of locks: its kind is the first part of the key,
	// its outcome ok, conflict (another gateway has the key) or error. Nil is
	// not told.
	OnWrite func(kind, outcome string)
}

// Fleet is one prefix of Consul. All its methods may be called at any time and
// together, but Run only once.
type Fleet struct {
	prefix   string // ends in /
	source   string
	stateDir string
	log      *slog.Logger
	onWrite  func(kind, outcome string)
	client   *client
	tempo    tempo
	state    atomic.Pointer[configs.SourceState]
}

var (
	_ configs.Source    = (*Fleet)(nil)
	_ configs.Store     = (*Fleet)(nil)
	_ configs.Announcer = (*Fleet)(nil)
	_ configs.Locker    = (*Fleet)(nil)
)

// Open prepares a fleet's access. It does not connect: it fails only for what
// no retry can mend, a malformed spec, an unreadable certificate or token file.
func Open(o Options) (*Fleet, error) {
	host, prefix, err := ParseSpec(o.Spec)
	if err != nil {
		return nil, err
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.OnWrite == nil {
		o.OnWrite = func(string, string) {}
	}
	c, err := newClient(host)
	if err != nil {
		return nil, fmt.Errorf("consul %s: %w", o.Spec, err)
	}
	f := &Fleet{
		prefix:   prefix + "/",
		source:   sourceName(host, prefix),
		stateDir: o.StateDir,
		log:      o.Log,
		onWrite:  o.OnWrite,
		client:   c,
		tempo:    defaultTempo(),
	}
	f.state.Store(&configs.SourceState{Err: errNotAsked})
	return f, nil
}

// ParseSpec takes a spec apart. The host is empty where the spec names none;
// the prefix has no slash at its ends.
func ParseSpec(spec string) (host, prefix string, err error) {
	rest := spec
	if strings.HasPrefix(rest, "//") {
		var found bool
		host, rest, found = strings.Cut(rest[2:], "/")
		if host == "" || !found {
			return "", "", fmt.Errorf("consul %q: want [//HOST:PORT/]PREFIX", spec)
		}
	}
	prefix = strings.TrimSuffix(rest, "/")
	if prefix == "" {
		return "", "", fmt.Errorf("consul %q: want a prefix, such as segue/prod", spec)
	}
	for part := range strings.SplitSeq(prefix, "/") {
		if part == "" || part == "." || part == ".." || strings.ContainsFunc(part, notInPrefix) {
			return "", "", fmt.Errorf("consul %q: the parts of a prefix have letters, digits, '.', '_' and '-'", spec)
		}
	}
	return host, prefix, nil
}

// notInPrefix keeps prefixes to what needs no quoting in keys, addresses and
// ACL rules.
func notInPrefix(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("._-", r)
}

// sourceName names the last good copy. An address from the environment is no
// part of it: on a cluster it is often that of the agent beside the process
// and changes with the machine.
func sourceName(host, prefix string) string {
	if host == "" {
		return "consul:" + prefix
	}
	return "consul://" + host + "/" + prefix
}

// Prefix is the fleet's prefix, without a slash at its end.
func (f *Fleet) Prefix() string { return strings.TrimSuffix(f.prefix, "/") }

// State says how the fleet's Source stands.
func (f *Fleet) State() configs.SourceState { return *f.state.Load() }

// contact records that Consul answered.
func (f *Fleet) contact(at time.Time) {
	f.state.Store(&configs.SourceState{Connected: true, LastContactUnixNano: at.UnixNano()})
}

// failed records that Consul cannot be read.
func (f *Fleet) failed(err error) {
	last := f.state.Load().LastContactUnixNano
	f.state.Store(&configs.SourceState{LastContactUnixNano: last, Err: err.Error()})
}

// errNotAsked is the state of a source before its first try.
const errNotAsked = "not asked yet"

// errNoLeader says that Consul answers and cannot be read consistently.
var errNoLeader = errors.New("no leader behind the answer")
