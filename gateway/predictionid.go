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
//	6 bytes  a number that no other prediction of that millisecond has
//	6 bytes  low bytes of the XXH64 of the model's name
//	6 bytes  low bytes of the XXH64 of the version's name
//	4 bytes  low bytes of the XXH64 of the variant's name
//	2 bytes  the predicted class (see class.go), 0 where there is none
//	2 bytes  the rollout's step in which the request was assigned, from 1; 0
//	         where it counts for no rollout
//	5 bytes  low bytes of the hash of the caller's sticky key, 0 without one
//	4 bytes  low half of the XXH64 of the above, or 10 bytes of its HMAC-SHA256
//
// Names are hashed because two of 128 characters do not fit into an id of 64;
// who attributes an id knows the names that there are and compares hashes. The
// checksum catches ids that were cut or mistyped; only the MAC keeps others
// from making them up.
const (
	idFormatChecksum = 1
	idFormatMAC      = 2
	idPayloadBytes   = 38
	idChecksumBytes  = idPayloadBytes + 4
	idMACBytes       = idPayloadBytes + 10
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
	// number is, with the time, unique over the fleet but for chance.
	number uint64
	names  idNames
	note   idNote
}

// idNames are the hashed names in an id.
type idNames struct {
	model, version uint64
	variant        uint32
}

// idNote is what feedback about a prediction needs to know of it, so that any
// gateway of the fleet can use it and none must remember it.
type idNote struct {
	// class is what was predicted, 0 where that is no class.
	class class
	// step is the rollout's step in which the request was assigned, from 1; 0
	// where it counts for no rollout.
	step uint16
	// unit is the hash of the caller's sticky key, 0 without one: 40 bits.
	unit uint64
}

const (
	mask40 = 1<<40 - 1
	mask48 = 1<<48 - 1
)

func hashNames(model, version, variant string) idNames {
	return idNames{model: hashName(model), version: hashName(version), variant: uint32(xxhash.Sum64String(variant))}
}

func hashName(name string) uint64 { return xxhash.Sum64String(name) & mask48 }

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
func (m *idMaker) append(dst []byte, names idNames, note idNote, now time.Time) []byte {
	var raw [idMACBytes]byte
	millis := uint64(now.UnixMilli())
	raw[0] = idFormatChecksum
	put48(raw[1:], millis)
	put48(raw[7:], m.next.Add(1))
	put48(raw[13:], names.model)
	put48(raw[19:], names.version)
	binary.BigEndian.PutUint32(raw[25:], names.variant)
	binary.BigEndian.PutUint16(raw[29:], uint16(note.class))
	binary.BigEndian.PutUint16(raw[31:], note.step)
	raw[33] = byte(note.unit >> 32)
	binary.BigEndian.PutUint32(raw[34:], uint32(note.unit))
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
	return predictionID{
		at:     time.UnixMilli(int64(get48(payload[1:]))).UTC(),
		number: get48(payload[7:]),
		names:  idNames{model: get48(payload[13:]), version: get48(payload[19:]), variant: binary.BigEndian.Uint32(payload[25:])},
		note: idNote{class: class(binary.BigEndian.Uint16(payload[29:])), step: binary.BigEndian.Uint16(payload[31:]),
			unit: uint64(payload[33])<<32 | uint64(binary.BigEndian.Uint32(payload[34:]))},
	}, nil
}

func put48(b []byte, n uint64) {
	binary.BigEndian.PutUint16(b, uint16(n>>32))
	binary.BigEndian.PutUint32(b[2:], uint32(n))
}

func get48(b []byte) uint64 {
	return uint64(binary.BigEndian.Uint16(b))<<32 | uint64(binary.BigEndian.Uint32(b[2:]))
}
