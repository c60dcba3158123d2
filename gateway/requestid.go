package gateway

import (
	cryptorand "crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"sync/atomic"
)

// maxRequestID is the longest X-Request-Id that is taken over from a client.
const maxRequestID = 128

// requestIDs makes ids for requests that bring none: 32 hexadecimal digits,
// half of them drawn when the process began and half counted.
type requestIDs struct {
	process [8]byte
	next    *atomic.Uint64
}

func newRequestIDs() requestIDs {
	ids := requestIDs{next: &atomic.Uint64{}}
	var seed [16]byte
	cryptorand.Read(seed[:]) // never fails: it ends the process instead
	copy(ids.process[:], seed[:8])
	ids.next.Store(binary.BigEndian.Uint64(seed[8:]))
	return ids
}

func (r *requestIDs) append(dst []byte) []byte {
	dst = hex.AppendEncode(dst, r.process[:])
	var count [8]byte
	binary.BigEndian.PutUint64(count[:], r.next.Add(1))
	return hex.AppendEncode(dst, count[:])
}

// saneRequestID reports whether a client's id may be sent back and logged:
// printable ASCII without spaces and quotes, and not too long.
func saneRequestID(id []byte) bool {
	if len(id) == 0 || len(id) > maxRequestID {
		return false
	}
	for _, c := range id {
		if c <= ' ' || c >= 0x7f || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}
