package scenario

import (
	"fmt"
	"strings"
)

// wire checks how requests are written and sent.
func (c *checker) wire(path, protocol, transport string) {
	c.oneOf(path+".protocol", protocol, "json", "json-17", "binary", "grpc")
	c.oneOf(path+".transport", transport, "tcp", "unix")
	c.require(protocol != "grpc" || transport != "unix", path+".transport", "grpc goes over tcp")
}

func (c *checker) model(path string, m Model) {
	c.require(m.Model != "" && m.Version != "", path, "want a model and a version")
}

func (c *checker) throughput(o *Throughput) {
	c.require(len(o.Models) > 0, "throughput.models", "is empty")
	models := map[string]bool{}
	for i, m := range o.Models {
		path := fmt.Sprintf("throughput.models[%d]", i)
		c.model(path, m)
		c.require(!models[m.Model], path, "model %q is there twice", m.Model)
		models[m.Model] = true
	}
	c.require(o.Connections >= 1, "throughput.connections", "%d: want 1 or more", o.Connections)
	declared := c.contenders("throughput", o.Contenders)
	for i, d := range o.Decoders {
		path := fmt.Sprintf("throughput.decoders[%d]", i)
		c.name(path+".name", d.Name)
		c.oneOf(path+".protocol", d.Protocol, "json", "json-17")
		c.require(d.AtMost >= 0, path+".at_most", "is negative")
	}
	for i, r := range o.Ratios {
		path := fmt.Sprintf("throughput.ratios[%d]", i)
		c.require(declared[r.Of], path+".of", "%q is not a contender", r.Of)
		c.require(declared[r.To], path+".to", "%q is not a contender", r.To)
		c.require(r.Of != r.To, path, "compares %q with itself", r.Of)
		aims := 0
		for _, aim := range []float64{r.AtLeast, r.AtMost} {
			c.require(aim >= 0, path, "an aim is negative")
			if aim != 0 {
				aims++
			}
		}
		c.require(aims <= 1, path, "want at_least or at_most, not both")
		if aims > 0 {
			c.oneOf(path+".figure", r.Figure, FigurePerSecond, FigureP50, FigureP99, FigureCPU)
		} else {
			c.require(r.Figure == "", path+".figure", "is for a ratio with an aim")
		}
	}
}

// contenders checks a list of them and returns their names.
func (c *checker) contenders(of string, list []Contender) (declared map[string]bool) {
	c.require(len(list) > 0, of+".contenders", "is empty")
	declared = map[string]bool{}
	for i, one := range list {
		path := fmt.Sprintf("%s.contenders[%d]", of, i)
		c.name(path+".name", one.Name)
		c.require(!declared[one.Name], path+".name", "%q is there twice", one.Name)
		declared[one.Name] = true
		c.contender(path, one)
	}
	return declared
}

func (c *checker) contender(path string, one Contender) {
	c.require(one.Connections >= 0, path+".connections", "is negative")
	switch one.Kind {
	case KindGateway, KindEcho:
		c.wire(path, one.Protocol, one.Transport)
		c.require(one.Streams == 0, path+".streams", "is for kind runtime")
	case KindRuntime:
		c.require(one.Streams >= 1, path+".streams", "%d: want 1 or more", one.Streams)
		c.require(one.Protocol == "" && one.Transport == "" && one.Connections == 0, path, "protocol, transport and connections are for servers")
	case KindPeer:
		c.name(path+".peer", one.Peer)
		c.wire(path, one.Protocol, "tcp")
		c.require(one.Transport == "", path+".transport", "a peer is reached over tcp")
		c.require(one.Workers >= 0, path+".workers", "is negative")
		c.require(!one.Balanced || one.Workers > 1, path+".balanced", "is for 2 workers or more")
		c.require(one.Streams == 0, path+".streams", "is for kind runtime")
	default:
		c.oneOf(path+".kind", one.Kind, KindGateway, KindEcho, KindRuntime, KindPeer)
	}
	c.require(one.Kind == KindPeer || one.Peer == "" && one.Workers == 0 && len(one.Options) == 0 && !one.Balanced, path, "peer, workers, options and balanced are for kind peer")
	c.require(one.Kind == KindGateway || len(one.Env) == 0, path+".env", "is for kind gateway")
	c.require(one.Kind == KindGateway || one.Drift == nil, path+".drift", "is for kind gateway")
	for name := range one.Env {
		c.require(!strings.ContainsAny(name, "= "), path+".env", "%q is no name of a variable", name)
	}
}
