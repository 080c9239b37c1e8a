package middleware

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"airmirror/mirror"
)

// forwardedFor is the header to which each proxy appends the address of its client.
const forwardedFor = "X-Forwarded-For"

// withClientAddress returns r with the address of the client in place of that of a trusted proxy. Handlers, limits and
// logs then see the client. It returns r itself if no trusted proxy sent it. The forwarding headers stay in place, so
// that the request never counts as one of this machine.
func withClientAddress(trusted []netip.Prefix, r *http.Request) *http.Request {
	if len(trusted) == 0 || len(r.Header[forwardedFor]) == 0 {
		return r
	}
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !isTrusted(trusted, peer.Addr().Unmap()) {
		return r
	}
	client := clientOf(trusted, peer.Addr().Unmap(), r.Header[forwardedFor])
	if client == peer.Addr().Unmap() {
		return r
	}
	at := netip.AddrPortFrom(client, 0) // the port is unknown
	r = r.WithContext(mirror.WithClient(r.Context(), net.TCPAddrFromAddrPort(at)))
	r.RemoteAddr = at.String()
	return r
}

// clientOf walks the header list from its end, where the nearest proxy appended, for as long as the addresses are those
// of trusted proxies. Entries before that may be forged. If an entry is not an address, the client is the last address
// before it.
func clientOf(trusted []netip.Prefix, peer netip.Addr, headers []string) netip.Addr {
	client := peer
	for _, header := range slices.Backward(headers) {
		for more := true; more; {
			item := header
			i := strings.LastIndexByte(header, ',')
			if more = i >= 0; more {
				header, item = header[:i], header[i+1:]
			}
			addr, ok := parseAddr(strings.TrimSpace(item))
			if !ok {
				return client
			}
			if client = addr; !isTrusted(trusted, addr) {
				return client
			}
		}
	}
	return client
}

// parseAddr parses an address with an optional port.
func parseAddr(s string) (netip.Addr, bool) {
	addr, err := netip.ParseAddr(s)
	if err != nil {
		withPort, err := netip.ParseAddrPort(s)
		if err != nil {
			return netip.Addr{}, false
		}
		addr = withPort.Addr()
	}
	return addr.Unmap().WithZone(""), true
}

func isTrusted(trusted []netip.Prefix, addr netip.Addr) bool {
	addr = addr.WithZone("")
	return slices.ContainsFunc(trusted, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// ParseProxy parses the address or network of a proxy, such as 10.0.0.7, fd00::/8 or 192.168.0.0/16.
func ParseProxy(s string) (netip.Prefix, error) {
	if prefix, err := netip.ParsePrefix(s); err == nil {
		if addr := prefix.Addr(); addr.Is4In6() { // addresses are compared in their IPv4 form
			return addr.Unmap().Prefix(prefix.Bits() - 96)
		}
		return prefix.Masked(), nil
	}
	addr, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Prefix{}, err
	}
	addr = addr.Unmap().WithZone("")
	return netip.PrefixFrom(addr, addr.BitLen()), nil
}
