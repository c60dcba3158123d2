package server

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/segue-serving/segue/bench/load"
)

// EchoArgument, given alone, makes the benchmark's own program an echo server.
const EchoArgument = "serve-recorded-answers"

// Recorded is an answer that a server gave once.
type Recorded struct {
	Path   string      `json:"path"`
	Header [][2]string `json:"header"`
	Body   []byte      `json:"body"`
	// Status is that of HTTP, 0 for 200.
	Status int `json:"status,omitempty"`
}

// Record keeps an answer to be served under a path.
func Record(path string, a load.Answer) Recorded {
	r := Recorded{Path: path, Body: append([]byte(nil), a.Body()...)}
	a.EachHeader(func(name, value string) {
		if !strings.EqualFold(name, "Content-Length") && !strings.EqualFold(name, "Date") && !strings.EqualFold(name, "Connection") && !strings.EqualFold(name, "Transfer-Encoding") {
			r.Header = append(r.Header, [2]string{name, value})
		}
	})
	return r
}

// echoConfig is what the child reads from its standard input, which then stays
// open as long as it shall serve.
type echoConfig struct {
	Network string     `json:"network"`
	GRPC    bool       `json:"grpc"`
	Addr    string     `json:"addr"`
	Answers []Recorded `json:"answers"`
}

// Echo is a running server of recorded answers: it reads a request whole and
// answers the same bytes as the server that was recorded.
type Echo struct {
	*Process
	Network, Addr string

	stdin io.Closer
}

// StartEcho starts the server in a process of its own. Addr is a socket's path
// for network "unix", and chosen by the system for "tcp". It speaks HTTP/1.1, or
// gRPC and nothing else.
func StartEcho(ctx context.Context, network, addr string, grpc bool, answers []Recorded) (*Echo, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	if network == "tcp" {
		addr = "127.0.0.1:0"
	}
	config, err := json.Marshal(echoConfig{network, grpc, addr, answers})
	if err != nil {
		return nil, err
	}
	stdin, toChild, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	fromChild, stdout, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, stdin.Close(), toChild.Close())
	}
	defer fromChild.Close()
	e := &Echo{Network: network, stdin: toChild}
	e.Process, err = start(stdout, stdin, os.Environ(), self, EchoArgument)
	if closed := errors.Join(stdin.Close(), stdout.Close()); err != nil || closed != nil {
		return nil, errors.Join(err, closed, toChild.Close())
	}
	stop := context.AfterFunc(ctx, e.Stop)
	defer stop()
	if _, err := toChild.Write(append(config, '\n')); err != nil {
		e.Stop()
		return nil, fmt.Errorf("configure the echo server: %w", err)
	}
	line, err := bufio.NewReader(fromChild).ReadString('\n')
	if err != nil {
		e.Stop()
		return nil, fmt.Errorf("the echo server does not listen: %w: %s", err, e.log.String())
	}
	e.Addr = strings.TrimSpace(line)
	return e, nil
}

// Stop ends the server.
func (e *Echo) Stop() {
	e.Process.Stop()
	// The child has ended: nobody reads what was not written.
	_ = e.stdin.Close()
}

// ServeEcho is what the child runs: it reads its configuration, listens, says
// where, and serves until its input ends.
func ServeEcho(in io.Reader, out io.Writer) error {
	var config echoConfig
	decoder := json.NewDecoder(in)
	if err := decoder.Decode(&config); err != nil {
		return fmt.Errorf("configuration of the echo server: %w", err)
	}
	answers := map[string]Recorded{}
	for _, a := range config.Answers {
		answers[a.Path] = a
	}
	listener, err := net.Listen(config.Network, config.Addr)
	if err != nil {
		return err
	}
	var s answering = newHTTPEcho(answers)
	if config.GRPC {
		s = newGRPCEcho(answers)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(listener) }()
	if _, err := fmt.Fprintln(out, listener.Addr()); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, in); err != nil {
		return err
	}
	return errors.Join(s.Shutdown(), <-served)
}

// answering is a server of recorded answers.
type answering interface {
	Serve(net.Listener) error
	Shutdown() error
}

func newHTTPEcho(answers map[string]Recorded) *fasthttp.Server {
	return &fasthttp.Server{
		NoDefaultServerHeader: true, MaxRequestBodySize: 256 << 20,
		Handler: func(ctx *fasthttp.RequestCtx) {
			a, ok := answers[string(ctx.Path())]
			if !ok {
				ctx.SetStatusCode(fasthttp.StatusNotFound)
				return
			}
			for _, h := range a.Header {
				ctx.Response.Header.Set(h[0], h[1])
			}
			if a.Status != 0 {
				ctx.SetStatusCode(a.Status)
			}
			ctx.SetBody(a.Body)
		},
	}
}
