package oip

import (
	"net/http"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/segue-serving/segue/runtime"
)

// InferMessage is a ModelInferRequest of the protocol over gRPC, taken apart
// but not decoded. The zero value is ready; reading into the same one again
// reuses its memory. It refers to the message that was read.
type InferMessage struct {
	// Model and Version are the names that the request is for; Version is
	// empty where it does not say.
	Model, Version []byte

	id                               []byte
	parameters, inputs, outputs, raw [][]byte
}

// Fields of the messages; the numbers are the published interface's.
const (
	requestModel      = 1
	requestVersion    = 2
	requestID         = 3
	requestParameters = 4
	requestInputs     = 5
	requestOutputs    = 6
	requestRaw        = 7

	tensorName       = 1
	tensorType       = 2
	tensorShape      = 3
	tensorParameters = 4
	tensorContents   = 5

	outputName       = 1
	outputParameters = 2
)

// fieldReader goes through the fields of one message. Fields that nobody asks
// for are passed over, as the format wants it.
type fieldReader struct {
	rest   []byte
	number protowire.Number
	kind   protowire.Type
	value  []byte // of a field with a length
	scalar uint64 // of any other
	broken bool
}

// next reads one field and reports whether there was one.
func (f *fieldReader) next() bool {
	if len(f.rest) == 0 || f.broken {
		return false
	}
	number, kind, n := protowire.ConsumeTag(f.rest)
	if n >= 0 {
		f.rest, f.number, f.kind, f.value, f.scalar = f.rest[n:], number, kind, nil, 0
		switch kind {
		case protowire.BytesType:
			f.value, n = protowire.ConsumeBytes(f.rest)
		case protowire.VarintType:
			f.scalar, n = protowire.ConsumeVarint(f.rest)
		case protowire.Fixed32Type:
			var bits uint32
			bits, n = protowire.ConsumeFixed32(f.rest)
			f.scalar = uint64(bits)
		case protowire.Fixed64Type:
			f.scalar, n = protowire.ConsumeFixed64(f.rest)
		default:
			n = protowire.ConsumeFieldValue(number, kind, f.rest)
		}
	}
	if n < 0 {
		f.broken = true
		return false
	}
	f.rest = f.rest[n:]
	return true
}

// text reports that the field is this one, with a length.
func (f *fieldReader) text(number protowire.Number) bool {
	return f.number == number && f.kind == protowire.BytesType
}

// err is what is wrong with the message, after the last field.
func (f *fieldReader) err(what string) error {
	if f.broken {
		return refuse("malformed message: %s is cut off or damaged", what)
	}
	return nil
}

// Read takes a message apart, which must stay as it is while this is in use.
// An error is an *Error.
func (m *InferMessage) Read(message []byte) error {
	m.Reset()
	f := fieldReader{rest: message}
	for f.next() {
		switch {
		case f.text(requestModel):
			m.Model = f.value
		case f.text(requestVersion):
			m.Version = f.value
		case f.text(requestID):
			m.id = f.value
		case f.text(requestParameters):
			m.parameters = append(m.parameters, f.value)
		case f.text(requestInputs):
			m.inputs = append(m.inputs, f.value)
		case f.text(requestOutputs):
			m.outputs = append(m.outputs, f.value)
		case f.text(requestRaw):
			m.raw = append(m.raw, f.value)
		}
	}
	return f.err("the request")
}

// mostPartsKept bounds the parts of a message for which memory is kept.
const mostPartsKept = 256

// RequestID is the id that the request gave itself, empty without one. It is
// valid as long as the message's bytes.
func (m *InferMessage) RequestID() []byte { return m.id }

// Reset lets go of the message.
func (m *InferMessage) Reset() {
	*m = InferMessage{parameters: emptied(m.parameters), inputs: emptied(m.inputs), outputs: emptied(m.outputs), raw: emptied(m.raw)}
}

func emptied(parts [][]byte) [][]byte {
	if cap(parts) > mostPartsKept {
		return nil
	}
	clear(parts)
	return parts[:0]
}

// DecodeInferMessage decodes an inference request over gRPC for a model with
// this signature, as DecodeInfer does one over REST: the same checks, the same
// parameters, the same refusals. BinaryOutputs of the result are all true where
// the answer is to be raw: where the request is, or asks for it, or an answered
// output has no typed form.
func DecodeInferMessage(r *InferRequest, sig *runtime.Signature, m *InferMessage, limits Limits, alloc Allocator) error {
	r.prepare(sig)
	d := &r.decoder
	*d = inferDecoder{r: r, sig: sig, limits: limits, alloc: alloc}
	defer func() { *d = inferDecoder{} }()
	if !utf8.Valid(m.id) {
		return refuse("id is not valid UTF-8")
	}
	if string(m.id) != r.lastID {
		r.lastID = string(m.id)
	}
	r.ID = r.lastID
	for _, entry := range m.parameters {
		if err := d.global.readEntry(entry); err != nil {
			return err
		}
	}
	if len(m.raw) > 0 && len(m.raw) != len(m.inputs) {
		return refuse("raw_input_contents has %d members for %d inputs", len(m.raw), len(m.inputs))
	}
	for i, input := range m.inputs {
		var raw []byte
		if len(m.raw) > 0 {
			raw = m.raw[i]
		}
		if err := d.inputMessage(i, input, raw, len(m.raw) > 0); err != nil {
			return err
		}
	}
	if err := r.complete(sig); err != nil {
		return err
	}
	for _, output := range m.outputs {
		if err := d.outputMessage(output); err != nil {
			return err
		}
	}
	r.Timeout = d.global.timeout
	d.chooseForm(len(m.raw) > 0 || len(m.inputs) == 0)
	return nil
}

// outputMessage reads one requested output.
func (d *inferDecoder) outputMessage(message []byte) error {
	var p parameters
	var name []byte
	f := fieldReader{rest: message}
	for f.next() {
		switch {
		case f.text(outputName):
			name = f.value
		case f.text(outputParameters):
			if err := p.readEntry(f.value); err != nil {
				return err
			}
		}
	}
	if err := f.err("outputs"); err != nil {
		return err
	}
	return d.askFor(name, p.binaryData)
}

// chooseForm settles whether the outputs are answered raw.
func (d *inferDecoder) chooseForm(raw bool) {
	r := d.r
	n := len(r.outputs)
	if n > 0 {
		r.Outputs = r.outputs
	} else {
		n = len(d.sig.Outputs)
	}
	if d.global.binaryDataOutput != open {
		raw = d.global.binaryDataOutput == yes
	}
	for i := range n {
		position := i
		if r.Outputs != nil {
			position = r.Outputs[i]
			raw = raw || r.choices[i] == yes
		}
		raw = raw || contentsField(d.sig.Outputs[position].Type) == 0
	}
	for range n {
		r.BinaryOutputs = append(r.BinaryOutputs, raw)
	}
}

// tooLong refuses an answer with an element that the format cannot hold.
func tooLong(t *runtime.Tensor) error {
	return refuseStatus(http.StatusInternalServerError, "output %s has an element over 4 GiB", quote(t.Name))
}
