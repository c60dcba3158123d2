package load

import (
	"encoding/binary"
	"fmt"
)

// Frames of HTTP/2, RFC 9113, section 6.
const (
	frameData         = 0x0
	frameHeaders      = 0x1
	frameReset        = 0x3
	frameSettings     = 0x4
	framePush         = 0x5
	framePing         = 0x6
	frameGoAway       = 0x7
	frameWindowUpdate = 0x8
	frameContinuation = 0x9

	flagAck        = 0x1
	flagEndStream  = 0x1
	flagEndHeaders = 0x4
	flagPadded     = 0x8
	flagPriority   = 0x20

	settingTableSize     = 0x1
	settingPush          = 0x2
	settingInitialWindow = 0x4
	settingFrameSize     = 0x5

	frameHead = 9
	// What holds before a setting says otherwise.
	defaultWindow    = 65_535
	defaultFrameSize = 16_384
	defaultTableSize = 4_096
	// mostWindow is the largest that the protocol has.
	mostWindow = 1<<31 - 1
)

const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// frame is one frame, whose payload lies in the memory that it was read to.
type frame struct {
	kind, flags byte
	stream      uint32
	payload     []byte
}

func (f *frame) has(flag byte) bool { return f.flags&flag != 0 }

// appendFrame writes a frame's head; its payload of n bytes is to follow.
func appendFrame(to []byte, n int, kind, flags byte, stream uint32) []byte {
	to = append(to, byte(n>>16), byte(n>>8), byte(n), kind, flags)
	return binary.BigEndian.AppendUint32(to, stream)
}

// appendSetting writes one setting of a SETTINGS frame.
func appendSetting(to []byte, id uint16, value uint32) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint16(to, id), value)
}

// cutFrame reads the first frame of a text; n is its whole length, 0 where it is
// not all there.
func cutFrame(text []byte) (f frame, n int, err error) {
	if len(text) < frameHead {
		return f, 0, nil
	}
	length := int(text[0])<<16 | int(text[1])<<8 | int(text[2])
	if length > defaultFrameSize {
		return f, 0, fmt.Errorf("a frame of %d bytes", length)
	}
	if n = frameHead + length; len(text) < n {
		return f, 0, nil
	}
	f = frame{kind: text[3], flags: text[4], stream: binary.BigEndian.Uint32(text[5:]) &^ (1 << 31), payload: text[frameHead:n]}
	return f, n, nil
}

// unpad takes away the padding, and a priority, which nobody has used since
// RFC 9113.
func (f *frame) unpad() error {
	padding := 0
	if f.has(flagPadded) {
		if len(f.payload) < 1 {
			return f.wrong()
		}
		padding, f.payload = int(f.payload[0]), f.payload[1:]
	}
	if f.kind == frameHeaders && f.has(flagPriority) {
		if len(f.payload) < 5 {
			return f.wrong()
		}
		f.payload = f.payload[5:]
	}
	if padding > len(f.payload) {
		return f.wrong()
	}
	f.payload = f.payload[:len(f.payload)-padding]
	return nil
}

// wrong is a frame that breaks the protocol.
func (f *frame) wrong() error {
	return fmt.Errorf("a frame of kind %d, flags %#x and %d bytes for stream %d", f.kind, f.flags, len(f.payload), f.stream)
}

// word reads the payload of frames that are one number.
func (f *frame) word() (uint32, error) {
	if len(f.payload) != 4 {
		return 0, f.wrong()
	}
	return binary.BigEndian.Uint32(f.payload), nil
}
