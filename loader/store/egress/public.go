package egress

import (
	"net/netip"
	"slices"
)

// special are the networks of IANA's registries of special-purpose addresses
// (RFC 6890 and its additions) that no public host has and that netip has no
// word for, and those that stand for an IPv4 address: what they lead to depends
// on the network's translators.
var special = func() []netip.Prefix {
	var all []netip.Prefix
	for _, text := range []string{
		"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15",
		"198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
		"2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
	} {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}()

// global is all of IPv6 that is given out as public addresses.
var global = netip.MustParsePrefix("2000::/3")

// public reports whether an address is one of the public internet.
func public(addr netip.Addr) bool {
	if !addr.IsGlobalUnicast() || addr.IsPrivate() || addr.Is6() && !global.Contains(addr) {
		return false
	}
	return !slices.ContainsFunc(special, func(n netip.Prefix) bool { return n.Contains(addr) })
}
