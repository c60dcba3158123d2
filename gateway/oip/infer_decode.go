package oip

import (
	"slices"

	"github.com/segue-serving/segue/runtime"
)

// inferDecoder is the state of one DecodeInfer.
type inferDecoder struct {
	r      *InferRequest
	sig    *runtime.Signature
	s      scanner
	binary []byte // binary data not yet taken
	framed bool   // the request has a header length, and so may have binary data
	limits Limits
	alloc  Allocator
	global parameters
}

// DecodeInfer decodes the body of an inference request of the Open Inference
// Protocol for a model with this signature. headerLength is the value of
// Inference-Header-Content-Length, the length of the JSON before binary data,
// or -1 without that header.
//
// Members that the protocol does not know are ignored, as are parameters but
// for those that change the answer's meaning (see parameters.go); a member
// that it knows may appear only once in its object. A refusal is an *Error;
// only the Allocator's errors are returned as they are.
func DecodeInfer(r *InferRequest, sig *runtime.Signature, body []byte, headerLength int, limits Limits, alloc Allocator) error {
	r.prepare(sig)
	// The decoder's state lives in the request, where it is reused: on the
	// stack it would escape through the Allocator's interface.
	d := &r.decoder
	*d = inferDecoder{r: r, sig: sig, limits: limits, alloc: alloc}
	defer func() { *d = inferDecoder{} }()
	header := body
	if headerLength != -1 {
		switch {
		case headerLength == 0:
			return refuse("Inference-Header-Content-Length is 0: a body of binary data alone is not supported")
		case headerLength < 0 || headerLength > len(body):
			return refuse("Inference-Header-Content-Length is %d, but the body has %d bytes", headerLength, len(body))
		}
		header, d.binary, d.framed = body[:headerLength], body[headerLength:], true
	}
	d.s = scanner{b: header, maxDepth: limits.depth(), text: r.text, run: r.run}
	err := d.request()
	r.text, r.run = d.s.text, d.s.run
	return err
}

// members tells known members of an object that appear twice.
type members uint16

func (m *members) once(bit members, key []byte, at int) error {
	if *m&bit != 0 {
		return refuse("member %s appears twice, again before byte %d", quote(key), at)
	}
	*m |= bit
	return nil
}

func (d *inferDecoder) request() error {
	var seen members
	err := d.s.object("the request", func(key []byte) error {
		switch string(key) {
		case "id":
			if err := seen.once(1, key, d.s.pos); err != nil || d.s.null() {
				return err
			}
			return d.id()
		case "parameters":
			if err := seen.once(2, key, d.s.pos); err != nil {
				return err
			}
			return d.global.decode(&d.s)
		case "inputs":
			if err := seen.once(4, key, d.s.pos); err != nil || d.s.null() {
				return err
			}
			return d.s.list("inputs", d.input)
		case "outputs":
			if err := seen.once(8, key, d.s.pos); err != nil || d.s.null() {
				return err
			}
			return d.s.list("outputs", func(int) error { return d.output() })
		}
		return d.s.skip()
	})
	if err != nil {
		return err
	}
	if err := d.s.end(); err != nil {
		return err
	}
	if err := d.r.complete(d.sig); err != nil {
		return err
	}
	if len(d.binary) > 0 {
		return refuse("%d bytes of binary data are left over behind the last input", len(d.binary))
	}
	d.r.Timeout = d.global.timeout
	return d.chooseOutputs()
}

func (d *inferDecoder) id() error {
	if d.s.peek() != '"' {
		return d.s.want("id", "a string")
	}
	id, err := d.s.str()
	if err != nil {
		return err
	}
	if string(id) != d.r.lastID {
		d.r.lastID = string(id)
	}
	d.r.ID = d.r.lastID
	return nil
}

// output decodes one member of outputs.
func (d *inferDecoder) output() error {
	var seen members
	var p parameters
	position := -1
	err := d.s.object("an output", func(key []byte) error {
		switch string(key) {
		case "name":
			if err := seen.once(1, key, d.s.pos); err != nil {
				return err
			}
			if d.s.peek() != '"' {
				return d.s.want("an output's name", "a string")
			}
			name, err := d.s.str()
			if err != nil {
				return err
			}
			position, err = d.claimOutput(name)
			return err
		case "parameters":
			if err := seen.once(2, key, d.s.pos); err != nil {
				return err
			}
			return p.decode(&d.s)
		}
		return d.s.skip()
	})
	if err != nil {
		return err
	}
	if position < 0 {
		return refuse("outputs[%d] has no name", len(d.r.outputs))
	}
	d.r.outputs = append(d.r.outputs, position)
	d.r.choices = append(d.r.choices, p.binaryData)
	return nil
}

// askFor notes a requested output and what it says of its form.
func (d *inferDecoder) askFor(name []byte, form choice) error {
	if len(name) == 0 {
		return refuse("outputs[%d] has no name", len(d.r.outputs))
	}
	position, err := d.claimOutput(name)
	if err != nil {
		return err
	}
	d.r.outputs = append(d.r.outputs, position)
	d.r.choices = append(d.r.choices, form)
	return nil
}

// claimOutput finds a named output that was not asked for yet.
func (d *inferDecoder) claimOutput(name []byte) (position int, err error) {
	position = outputPosition(d.sig, name)
	switch {
	case position < 0:
		return 0, refuse("unknown output %s: the model gives %s", quote(name), listNames(d.sig.Outputs))
	case slices.Contains(d.r.outputs, position):
		return 0, refuse("output %s is asked for twice", quote(name))
	}
	return position, nil
}

func outputPosition(sig *runtime.Signature, name []byte) int {
	for i := range sig.Outputs {
		if sig.Outputs[i].Name == string(name) {
			return i
		}
	}
	return -1
}

// chooseOutputs settles which outputs the answer has and in which form.
func (d *inferDecoder) chooseOutputs() error {
	r := d.r
	n := len(r.outputs)
	if n > 0 {
		r.Outputs = r.outputs
	} else {
		n = len(d.sig.Outputs)
	}
	for i := range n {
		binary := d.global.binaryDataOutput == yes
		position := i
		if r.Outputs != nil {
			position = r.Outputs[i]
			if r.choices[i] != open {
				binary = r.choices[i] == yes
			}
		}
		if spec := &d.sig.Outputs[position]; !binary && spec.Type == runtime.BF16 {
			return refuse("output %s: BF16 has no JSON form: ask for it with the parameter binary_data", quote(spec.Name))
		}
		r.BinaryOutputs = append(r.BinaryOutputs, binary)
	}
	return nil
}
