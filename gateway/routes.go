package gateway

import (
	"bytes"
	"strings"
)

// endpoint is one thing that the data API offers.
type endpoint uint8

const (
	endpointUnknown endpoint = iota
	endpointServer
	endpointLive
	endpointReady
	endpointAllStats
	endpointModel
	endpointModelReady
	endpointModelConfig
	endpointModelStats
	endpointInfer
	endpointFeedback
	endpointIndex
	endpointLoad
	endpointUnload
	endpointV1List
	endpointV1Status
	endpointV1Predict
	endpointCount
)

// endpointInfo says how an endpoint is reached and who may.
type endpointInfo struct {
	// patterns are the paths as the OpenAPI document writes them.
	patterns []string
	// post is true where the method is POST; otherwise it is GET or HEAD.
	post  bool
	group group
}

// endpoints describes all of them; it is constant. Routes that no pattern
// matches are closed with the group that nobody gets without a key.
var endpoints = [endpointCount]endpointInfo{
	endpointUnknown:     {group: groupNone},
	endpointServer:      {patterns: []string{"/v2"}, group: groupMetadata},
	endpointLive:        {patterns: []string{"/v2/health/live"}, group: groupHealth},
	endpointReady:       {patterns: []string{"/v2/health/ready"}, group: groupHealth},
	endpointAllStats:    {patterns: []string{"/v2/models/stats"}, group: groupMetadata},
	endpointModel:       {patterns: versioned("/v2/models/{model}", ""), group: groupMetadata},
	endpointModelReady:  {patterns: versioned("/v2/models/{model}", "/ready"), group: groupHealth},
	endpointModelConfig: {patterns: versioned("/v2/models/{model}", "/config"), group: groupMetadata},
	endpointModelStats:  {patterns: versioned("/v2/models/{model}", "/stats"), group: groupMetadata},
	endpointInfer:       {patterns: versioned("/v2/models/{model}", "/infer"), post: true, group: groupPredict},
	endpointFeedback:    {patterns: []string{"/v2/models/{model}/feedback"}, post: true, group: groupFeedback},
	endpointIndex:       {patterns: []string{"/v2/repository/index"}, post: true, group: groupMetadata},
	endpointLoad:        {patterns: []string{"/v2/repository/models/{model}/load"}, post: true, group: groupAdmin},
	endpointUnload:      {patterns: []string{"/v2/repository/models/{model}/unload"}, post: true, group: groupAdmin},
	endpointV1List:      {patterns: []string{"/v1/models"}, group: groupMetadata},
	endpointV1Status:    {patterns: versioned("/v1/models/{model}", ""), group: groupMetadata},
	endpointV1Predict:   {patterns: versioned("/v1/models/{model}", ":predict"), post: true, group: groupPredict},
}

func versioned(model, suffix string) []string {
	return []string{model + suffix, model + "/versions/{version}" + suffix}
}

// model reports whether the endpoint is about one model, whose name its patterns
// hold.
func (i *endpointInfo) model() bool {
	return len(i.patterns) > 0 && strings.Contains(i.patterns[0], "{model}")
}

// allow is the value of the Allow header.
func (e endpoint) allow() string {
	if endpoints[e].post {
		return "POST"
	}
	return "GET, HEAD"
}

// takes reports whether the endpoint answers a method.
func (e endpoint) takes(method []byte) bool {
	if endpoints[e].post {
		return string(method) == "POST"
	}
	return string(method) == "GET" || string(method) == "HEAD"
}

// route is a path that was looked up. Its names lie in the path or, where they
// were percent-encoded, in decoded; they are nil where the path has none.
type route struct {
	endpoint       endpoint
	model, version []byte
	decoded        []byte
}

// maxSegments is the number of parts of the longest path that is known:
// v2, models, a name, versions, a version and an action.
const maxSegments = 6

// parse looks a path up. The path is what stands before the query in the
// request's target. A path that is not known leaves endpointUnknown.
func (r *route) parse(path []byte) {
	r.endpoint, r.model, r.version, r.decoded = endpointUnknown, nil, nil, r.decoded[:0]
	if len(path) == 0 || path[0] != '/' {
		return
	}
	if bytes.IndexByte(path, '%') >= 0 && cap(r.decoded) < len(path) {
		r.decoded = make([]byte, 0, len(path)) // so that segments in it never move
	}
	var segments [maxSegments][]byte
	n := 0
	for rest := path[1:]; ; n++ {
		if n == maxSegments {
			return
		}
		slash := bytes.IndexByte(rest, '/')
		segment := rest
		if slash >= 0 {
			segment = rest[:slash]
		}
		segment, ok := r.unescape(segment)
		if !ok || len(segment) == 0 {
			return
		}
		segments[n] = segment
		if slash < 0 {
			n++
			break
		}
		rest = rest[slash+1:]
	}
	switch string(segments[0]) {
	case "v2":
		r.parseV2(segments[1:n])
	case "v1":
		r.parseV1(segments[1:n])
	}
}

func (r *route) parseV2(s [][]byte) {
	switch {
	case len(s) == 0:
		r.endpoint = endpointServer
	case len(s) == 2 && string(s[0]) == "health":
		switch string(s[1]) {
		case "live":
			r.endpoint = endpointLive
		case "ready":
			r.endpoint = endpointReady
		}
	case len(s) == 2 && string(s[0]) == "models" && string(s[1]) == "stats":
		r.endpoint = endpointAllStats
	case len(s) >= 2 && string(s[0]) == "models":
		r.parseModel(s[1:])
	case len(s) == 2 && string(s[0]) == "repository" && string(s[1]) == "index":
		r.endpoint = endpointIndex
	case len(s) == 4 && string(s[0]) == "repository" && string(s[1]) == "models":
		switch string(s[3]) {
		case "load":
			r.endpoint = endpointLoad
		case "unload":
			r.endpoint = endpointUnload
		}
		r.model = s[2]
	}
}

// parseModel reads {model}[/versions/{version}][/{action}].
func (r *route) parseModel(s [][]byte) {
	r.model = s[0]
	s = s[1:]
	if len(s) >= 2 && string(s[0]) == "versions" {
		r.version = s[1]
		s = s[2:]
	}
	switch {
	case len(s) == 0:
		r.endpoint = endpointModel
	case len(s) > 1:
	case string(s[0]) == "infer":
		r.endpoint = endpointInfer
	case string(s[0]) == "ready":
		r.endpoint = endpointModelReady
	case string(s[0]) == "config":
		r.endpoint = endpointModelConfig
	case string(s[0]) == "stats":
		r.endpoint = endpointModelStats
	case string(s[0]) == "feedback" && r.version == nil:
		r.endpoint = endpointFeedback
	}
}

// parseV1 reads models[/{model}[/versions/{version}][:predict]]. No name holds a
// colon: what stands behind one is a verb, and predict is the only one.
func (r *route) parseV1(s [][]byte) {
	if len(s) == 0 || string(s[0]) != "models" {
		return
	}
	switch {
	case len(s) == 1:
		r.endpoint = endpointV1List
		return
	case len(s) == 2:
	case len(s) == 4 && string(s[2]) == "versions":
	default:
		return
	}
	name := s[len(s)-1]
	found := endpointV1Status
	if cut, ok := bytes.CutSuffix(name, []byte(":predict")); ok && len(cut) > 0 {
		name, found = cut, endpointV1Predict
	}
	if bytes.IndexByte(name, ':') >= 0 {
		return
	}
	r.endpoint, r.model = found, s[1]
	if len(s) == 4 {
		r.version = name
	} else {
		r.model = name
	}
}

// unescape decodes the percent escapes of one segment, into r.decoded where it
// has any. A slash that comes out of an escape is part of the name.
func (r *route) unescape(segment []byte) (plain []byte, ok bool) {
	if bytes.IndexByte(segment, '%') < 0 {
		return segment, true
	}
	start := len(r.decoded)
	for i := 0; i < len(segment); i++ {
		c := segment[i]
		if c == '%' {
			if i+2 >= len(segment) {
				return nil, false
			}
			high, low := hexDigit(segment[i+1]), hexDigit(segment[i+2])
			if high > 15 || low > 15 {
				return nil, false
			}
			c = high<<4 | low
			i += 2
		}
		r.decoded = append(r.decoded, c)
	}
	return r.decoded[start:len(r.decoded):len(r.decoded)], true
}

// hexDigit is the value of a hexadecimal digit, 16 for any other byte.
func hexDigit(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10
	}
	return 16
}

// pathOf is the path of a request's target: without the query and, where the
// target is a whole URL, without scheme and host.
func pathOf(target []byte) []byte {
	if i := bytes.IndexByte(target, '?'); i >= 0 {
		target = target[:i]
	}
	if len(target) > 0 && target[0] == '/' {
		return target
	}
	_, rest, ok := bytes.Cut(target, []byte("://"))
	if !ok {
		return target
	}
	if i := bytes.IndexByte(rest, '/'); i >= 0 {
		return rest[i:]
	}
	return nil
}
