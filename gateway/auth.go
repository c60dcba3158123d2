package gateway

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"net/http"

	"golang.org/x/time/rate"

	"github.com/segue-serving/segue/configs"
)

// group is what a permission opens. Its bits form a set.
type group uint8

// groupNone is the group of routes that do not exist: any key learns that they
// do not, nobody without a key does.
const groupNone group = 0

const (
	groupPredict group = 1 << iota
	groupMetadata
	groupHealth
	groupFeedback
	groupAdmin
)

// access decides who may do what. It is immutable; the keys themselves are
// never held, only their SHA-256.
type access struct {
	// open is true where no keys are configured: then everybody may do
	// everything that the data API offers.
	open   bool
	public group
	keys   []accessKey
}

// accessKey is one API key.
type accessKey struct {
	name   string
	sum    [sha256.Size]byte
	groups group
	// models is nil where the key is for all models.
	models map[string]struct{}
	// limiter is nil where the key has no rate.
	limiter *rate.Limiter
}

// sees reports whether the key may know of a model. A nil key stands for
// everybody.
func (k *accessKey) sees(model string) bool {
	if k == nil || k.models == nil {
		return true
	}
	_, ok := k.models[model]
	return ok
}

func openAccess() *access { return &access{open: true} }

// newAccess compiles the keys of the settings, which may be nil. An error
// names what in them cannot be right.
func newAccess(s *configs.Settings) (*access, error) {
	if s == nil || len(s.Keys) == 0 {
		return openAccess(), nil
	}
	a := &access{}
	for i, name := range s.Public {
		switch name {
		case "health":
			a.public |= groupHealth
		case "metadata":
			a.public |= groupMetadata
		default:
			return nil, fmt.Errorf("public[%d]: unknown group %q, want health or metadata", i, name)
		}
	}
	for i, k := range s.Keys {
		compiled := accessKey{name: k.Name}
		sum, err := hex.DecodeString(k.SHA256)
		if err != nil || len(sum) != sha256.Size {
			return nil, fmt.Errorf("keys[%d].sha256: want %d hexadecimal digits", i, 2*sha256.Size)
		}
		copy(compiled.sum[:], sum)
		for j, permission := range k.Permissions {
			opened, ok := permissionGroups(permission)
			if !ok {
				return nil, fmt.Errorf("keys[%d].permissions[%d]: unknown permission %q, want predict, metadata, health, feedback or admin",
					i, j, permission)
			}
			compiled.groups |= opened
		}
		if len(k.Models) > 0 {
			compiled.models = make(map[string]struct{}, len(k.Models))
			for _, model := range k.Models {
				compiled.models[model] = struct{}{}
			}
		}
		if k = k.WithDefaults(); k.Rate > 0 {
			compiled.limiter = rate.NewLimiter(rate.Limit(k.Rate), k.Burst)
		}
		a.keys = append(a.keys, compiled)
	}
	return a, nil
}

// keepLimiters takes over the limiters of keys whose rates are what they were,
// so that an unrelated change does not fill their buckets again.
func (a *access) keepLimiters(from *access) {
	for i := range a.keys {
		key := &a.keys[i]
		for _, old := range from.keys {
			if key.limiter != nil && old.limiter != nil && key.sum == old.sum &&
				key.limiter.Limit() == old.limiter.Limit() && key.limiter.Burst() == old.limiter.Burst() {
				key.limiter = old.limiter
			}
		}
	}
}

func permissionGroups(permission string) (opened group, ok bool) {
	switch permission {
	case "predict":
		return groupPredict | groupMetadata, true
	case "metadata":
		return groupMetadata, true
	case "health":
		return groupHealth, true
	case "feedback":
		return groupFeedback, true
	case "admin":
		return groupAdmin, true
	}
	return 0, false
}

// denial is the answer to who may not. Its reason is a label of a metric.
type denial struct {
	status  int
	reason  string
	message string
	// challenge is the value of WWW-Authenticate, empty where a key was good.
	challenge string
}

// The denials there are. They are constant.
var (
	deniedMissing = &denial{http.StatusUnauthorized, "missing",
		"this route needs an API key: send the header Authorization: Bearer <key>", `Bearer realm="segue"`}
	deniedMalformed = &denial{http.StatusUnauthorized, "malformed",
		"the Authorization header is not of the form Bearer <key>", `Bearer realm="segue", error="invalid_request"`}
	deniedUnknown = &denial{http.StatusUnauthorized, "unknown",
		"the API key is not known", `Bearer realm="segue", error="invalid_token"`}
	deniedPermission = &denial{http.StatusForbidden, "permission",
		"the API key has no permission for this route", ""}
	deniedModel = &denial{http.StatusForbidden, "model",
		"the API key has no permission for this model", ""}
	denials = []*denial{deniedMissing, deniedMalformed, deniedUnknown, deniedPermission, deniedModel}
)

// admit decides on one request: g is what the route needs (groupNone: any
// key), model the one that it names or nil, authorization the value of that
// header. The key is nil where none was needed.
func (a *access) admit(g group, model, authorization []byte) (*accessKey, *denial) {
	if a.open || g&a.public != 0 {
		return nil, nil
	}
	token, denied := bearer(authorization)
	if denied != nil {
		return nil, denied
	}
	// Every key is compared, so that the time does not tell which one fits.
	sum := sha256.Sum256(token)
	found := -1
	for i := range a.keys {
		if subtle.ConstantTimeCompare(sum[:], a.keys[i].sum[:]) == 1 {
			found = i
		}
	}
	if found < 0 {
		return nil, deniedUnknown
	}
	key := &a.keys[found]
	if g != groupNone && key.groups&g == 0 {
		return nil, deniedPermission
	}
	if model != nil && key.models != nil {
		if _, ok := key.models[string(model)]; !ok {
			return nil, deniedModel
		}
	}
	return key, nil
}

// bearer takes the token out of an Authorization header.
func bearer(authorization []byte) ([]byte, *denial) {
	const scheme = "bearer "
	if len(authorization) == 0 {
		return nil, deniedMissing
	}
	if len(authorization) <= len(scheme) || !bytes.EqualFold(authorization[:len(scheme)], []byte(scheme)) {
		return nil, deniedMalformed
	}
	token := bytes.TrimSpace(authorization[len(scheme):])
	if len(token) == 0 || bytes.IndexByte(token, ' ') >= 0 {
		return nil, deniedMalformed
	}
	return token, nil
}
