package consul

import (
	"fmt"
	"strings"
)

// Rules are ACL rules in HCL, for `consul acl policy create -rules`.
type Rules struct {
	// Gateway reads documents and settings; writes overrides, resolutions,
	// evidence, counts for drift, status, locks and audit; registers services whose
	// name starts with segue.
	Gateway string
	// Operator writes documents, settings, overrides and audit, and reads the
	// rest.
	Operator string
	// Reader reads.
	Reader string
}

// In all roles "list" is "read" that also holds where the agent's
// enable_key_list_policy asks for a right of its own to list.
const (
	gatewayRules = `# A Segue gateway of PREFIX. It cannot write documents or settings.
key_prefix "PREFIX/" { policy = "list" }
key_prefix "PREFIX/overrides/" { policy = "write" }
key_prefix "PREFIX/resolved/" { policy = "write" }
key_prefix "PREFIX/evidence/" { policy = "write" }
key_prefix "PREFIX/drift/" { policy = "write" }
key_prefix "PREFIX/status/" { policy = "write" }
key_prefix "PREFIX/locks/" { policy = "write" }
key_prefix "PREFIX/audit/" { policy = "write" }
session_prefix "" { policy = "write" }
service_prefix "segue" { policy = "write" }
`
	operatorRules = `# An operator of PREFIX.
key_prefix "PREFIX/" { policy = "list" }
key "PREFIX/settings" { policy = "write" }
key_prefix "PREFIX/models/" { policy = "write" }
key_prefix "PREFIX/overrides/" { policy = "write" }
key_prefix "PREFIX/audit/" { policy = "write" }
service_prefix "segue" { policy = "read" }
`
	readerRules = `# Somebody who looks at PREFIX.
key_prefix "PREFIX/" { policy = "list" }
service_prefix "segue" { policy = "read" }
`
)

// InitRules returns the rules of the three roles for a prefix such as
// segue/prod. It refuses what is no prefix.
func InitRules(prefix string) (Rules, error) {
	host, prefix, err := ParseSpec(prefix)
	if err != nil || host != "" {
		return Rules{}, fmt.Errorf("rules for %q: not a prefix", prefix)
	}
	fill := func(rules string) string { return strings.ReplaceAll(rules, "PREFIX", prefix) }
	return Rules{Gateway: fill(gatewayRules), Operator: fill(operatorRules), Reader: fill(readerRules)}, nil
}
