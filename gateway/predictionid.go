package gateway

import (
	"bytes"
	"crypto/hmac"
	cryptorand "crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cespare/xxhash/v2"
)

// A prediction id is base64url, without padding, of:
//
//	1 byte   format: 1 with a checksum, 2 with a MAC
//	6 bytes  Unix time in milliseconds, big endian like all below
//	8 bytes  a number that no other prediction has
//	8 bytes  XXH64 of the model's name
//	8 bytes  XXH64 of the version's name
//	4 bytes  low half of the XXH64 of the variant's name
//	4 bytes  low half of the XXH64 of the above, or 13 bytes of its HMAC-SHA256
//
// Names are hashed because two of 128 characters do not fit into an id of 64;
// who attributes an id knows the names that there are and compares hashes. The
// checksum catches ids that were cut or mistyped; only the MAC keeps others
// from making them up.
const (
	idFormatChecksum = 1
	idFormatMAC      = 2
	idPayloadBytes   = 35
	idChecksumBytes  = idPayloadBytes + 4
	idMACBytes       = idPayloadBytes + 13
	idChecksumChars  = (idChecksumBytes*8 + 5) / 6
	idMACChars       = (idMACBytes*8 + 5) / 6
)

var (
	errNotAPredictionID = errors.New("not a prediction id")
	errForeignID        = errors.New("prediction id was not made by this fleet")
)

// predictionID is what an id carries.
type predictionID struct {
	// at is the time of the prediction, to the millisecond.
	at time.Time
	// number is unique over the fleet but for chance.
	number uint64
	names  idNames
}

// idNames are the hashed names in an id. They are computed once per version.
type idNames struct {
	model, version uint64
	variant        uint32
}

func hashNames(model, version, variant string) idNames {
	return idNames{model: xxhash.Sum64String(model), version: xxhash.Sum64String(version), variant: uint32(xxhash.Sum64String(variant))}
}

// idMaker makes and reads prediction ids. It is safe for concurrent use.
type idMaker struct {
	// next is the number of the next prediction. It starts at random, so that
	// two processes do not count the same numbers.
	next atomic.Uint64
	macs *sync.Pool
}

// newIDMaker returns the maker for a key of the fleet; without one ids have a
// checksum only.
func newIDMaker(key []byte) *idMaker {
	m := &idMaker{}
	var seed [8]byte
	cryptorand.Read(seed[:]) // never fails: it ends the process instead
	m.next.Store(binary.BigEndian.Uint64(seed[:]))
	if len(key) > 0 {
		key = bytes.Clone(key)
		m.macs = &sync.Pool{New: func() any { return &idMAC{hash: hmac.New(sha256.New, key)} }}
	}
	return m
}

// readFeedbackKey reads the key of the MAC in prediction ids. White space at
// its end does not count, because editors add it.
func readFeedbackKey(path string) ([]byte, error) {
	key, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("feedback key: %w", err)
	}
	if key = bytes.TrimSpace(key); len(key) < 16 {
		return nil, errors.New("feedback key: want at least 16 bytes")
	}
	return key, nil
}

// append writes a new id for a prediction made now.
func (m *idMaker) append(dst []byte, names idNames, now time.Time) []byte {
	var raw [idMACBytes]byte
	millis := uint64(now.UnixMilli())
	raw[0] = idFormatChecksum
	binary.BigEndian.PutUint16(raw[1:], uint16(millis>>32))
	binary.BigEndian.PutUint32(raw[3:], uint32(millis))
	binary.BigEndian.PutUint64(raw[7:], m.next.Add(1))
	binary.BigEndian.PutUint64(raw[15:], names.model)
	binary.BigEndian.PutUint64(raw[23:], names.version)
	binary.BigEndian.PutUint32(raw[31:], names.variant)
	length := idChecksumBytes
	if m.macs != nil {
		raw[0] = idFormatMAC
		length = idMACBytes
		m.sign(raw[idPayloadBytes:], raw[:idPayloadBytes])
	} else {
		binary.BigEndian.PutUint32(raw[idPayloadBytes:], uint32(xxhash.Sum64(raw[:idPayloadBytes])))
	}
	return base64.RawURLEncoding.AppendEncode(dst, raw[:length])
}

// idMAC is a keyed hash and the memory around it, which would escape to the
// heap with every id if it lay on the caller's stack.
type idMAC struct {
	hash    hash.Hash
	payload [idPayloadBytes]byte
	sum     [sha256.Size]byte
}

// sign fills mac with the first bytes of the payload's MAC.
func (m *idMaker) sign(mac, payload []byte) {
	h := m.macs.Get().(*idMAC)
	copy(h.payload[:], payload)
	h.hash.Reset()
	h.hash.Write(h.payload[:])
	copy(mac, h.hash.Sum(h.sum[:0]))
	m.macs.Put(h)
}

// parse reads an id that this fleet made. With a key, an id without MAC is
// foreign: anybody can make one.
func (m *idMaker) parse(id string) (predictionID, error) {
	// The decoder passes over line ends, which would give one prediction many
	// ids.
	if len(id) != idChecksumChars && len(id) != idMACChars || strings.ContainsAny(id, "\r\n") {
		return predictionID{}, errNotAPredictionID
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(id)
	if err != nil {
		return predictionID{}, errNotAPredictionID
	}
	payload, seal := raw[:idPayloadBytes], raw[idPayloadBytes:]
	switch {
	case payload[0] == idFormatChecksum && len(raw) == idChecksumBytes:
		if binary.BigEndian.Uint32(seal) != uint32(xxhash.Sum64(payload)) {
			return predictionID{}, errNotAPredictionID
		}
		if m.macs != nil {
			return predictionID{}, errForeignID
		}
	case payload[0] == idFormatMAC && len(raw) == idMACBytes:
		var want [idMACBytes - idPayloadBytes]byte
		if m.macs == nil {
			return predictionID{}, errForeignID
		}
		if m.sign(want[:], payload); !hmac.Equal(want[:], seal) {
			return predictionID{}, errForeignID
		}
	default:
		return predictionID{}, errNotAPredictionID
	}
	millis := int64(binary.BigEndian.Uint16(payload[1:]))<<32 | int64(binary.BigEndian.Uint32(payload[3:]))
	return predictionID{
		at:     time.UnixMilli(millis).UTC(),
		number: binary.BigEndian.Uint64(payload[7:]),
		names: idNames{model: binary.BigEndian.Uint64(payload[15:]), version: binary.BigEndian.Uint64(payload[23:]),
			variant: binary.BigEndian.Uint32(payload[31:])},
	}, nil
}
