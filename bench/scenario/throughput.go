package scenario

// Throughput is contenders that answer the same requests as fast as they can.
type Throughput struct {
	Models []Model `yaml:"models"`
	// Connections is how many requests are always under way.
	Connections int         `yaml:"connections"`
	Contenders  []Contender `yaml:"contenders"`
	Ratios      []Ratio     `yaml:"ratios"`
	// Decoders read the JSON requests as the gateway does, and nothing else.
	Decoders []Decoder `yaml:"decoders"`
}

// Decoder is the gateway's decoder in this process, on one core.
type Decoder struct {
	Name     string `yaml:"name"`
	Protocol string `yaml:"protocol"`
	// AtMost is how many nanoseconds a number should take; 0 for no aim.
	AtMost float64 `yaml:"at_most"`
}

// Model is a version of an example model, whose golden requests are sent.
type Model struct {
	Model   string `yaml:"model"`
	Version string `yaml:"version"`
}

// Kinds of contenders.
const (
	KindGateway = "gateway" // the gateway itself
	KindEcho    = "echo"    // a bare HTTP or gRPC server that answers the gateway's recorded bytes
	KindRuntime = "runtime" // ONNX Runtime in a loop in this process
	KindPeer    = "peer"    // another server, from the folder bench/peers
)

// Contender is one way of answering.
type Contender struct {
	Name string `yaml:"name"`
	Kind string `yaml:"kind"`
	// Protocol and Transport are those of a server, Streams the number of
	// loops of a runtime.
	Protocol  string `yaml:"protocol"`
	Transport string `yaml:"transport"`
	Streams   int    `yaml:"streams"`
	// Connections is instead of the scenario's, 0 for that.
	Connections int `yaml:"connections"`
	// Env is what a gateway's environment holds beside this program's.
	Env map[string]string `yaml:"env"`
	// Drift is what a gateway's document says of drift; none where it is not
	// there.
	Drift map[string]any `yaml:"drift"`
	// Peer is the folder of a peer, Workers how many of its processes answer.
	Peer    string `yaml:"peer"`
	Workers int    `yaml:"workers"`
	// Options are given to its serve.py.
	Options []string `yaml:"options"`
	// Balanced says that a peer's workers must share the connections: rounds
	// in which they do not are reported apart and measured again.
	Balanced bool `yaml:"balanced"`
}

// Figures that a ratio may have an aim for.
const (
	FigurePerSecond = "answered_per_second"
	FigureP50       = "p50"
	FigureP99       = "p99"
	FigureCPU       = "server_cpu_per_request"
)

// Ratio compares one contender with another, round by round.
type Ratio struct {
	Of string `yaml:"of"`
	To string `yaml:"to"`
	// Figure is the one that AtLeast or AtMost is the aim for; each is 0 for
	// no aim.
	Figure  string  `yaml:"figure"`
	AtLeast float64 `yaml:"at_least"`
	AtMost  float64 `yaml:"at_most"`
}
