package oip

import (
	"math"
	"time"
)

// parameters holds what a parameters object of a request, an input or an
// output says. One type serves all three: a parameter that makes no sense
// where it stands is ignored, as every unknown one is.
type parameters struct {
	timeout          time.Duration
	binaryDataSize   int64 // only where hasSize
	hasSize          bool
	binaryData       choice
	binaryDataOutput choice
}

// decode reads a parameters object, or null. Parameters of features that
// change what an answer means, and that are not offered, are refused rather
// than ignored.
func (p *parameters) decode(s *scanner) error {
	if s.null() {
		return nil
	}
	var seen members
	return s.object("parameters", func(key []byte) error {
		switch string(key) {
		case "binary_data_size":
			if err := seen.once(1, key, s.pos); err != nil {
				return err
			}
			size, err := p.integer(s, "parameter binary_data_size")
			p.binaryDataSize, p.hasSize = size, true
			return err
		case "binary_data":
			if err := seen.once(2, key, s.pos); err != nil {
				return err
			}
			return p.boolean(s, "parameter binary_data", &p.binaryData)
		case "binary_data_output":
			if err := seen.once(4, key, s.pos); err != nil {
				return err
			}
			return p.boolean(s, "parameter binary_data_output", &p.binaryDataOutput)
		case "timeout":
			if err := seen.once(8, key, s.pos); err != nil {
				return err
			}
			microseconds, err := p.integer(s, "parameter timeout (in microseconds)")
			p.timeout = time.Duration(min(microseconds, math.MaxInt64/1000)) * time.Microsecond
			return err
		}
		if err := refuseUnsupported(key); err != nil {
			return err
		}
		return s.skip()
	})
}

// integer reads an integer that is not negative.
func (p *parameters) integer(s *scanner, what string) (int64, error) {
	c := s.peek()
	value, end, ok := scanInteger(s.b, s.pos, 0, math.MaxInt64)
	if !ok {
		if c == '-' || c >= '0' && c <= '9' {
			return 0, refuse("%s must be an integer from 0 to 2^63-1, at byte %d", what, s.pos)
		}
		return 0, s.want(what, "an integer")
	}
	s.pos = end
	return int64(value), nil
}

func (p *parameters) boolean(s *scanner, what string, to *choice) error {
	switch {
	case s.peek() == 't' && s.literal("true"):
		*to = yes
	case s.peek() == 'f' && s.literal("false"):
		*to = no
	default:
		return s.want(what, "true or false")
	}
	return nil
}
