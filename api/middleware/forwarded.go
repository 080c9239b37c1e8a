package middleware

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"airmirror/mirror"
)

// forwardedFor is the header by which proxies say who they forward for: each adds the address that it was asked from.
const forwardedFor = "X-Forwarded-For"

// withClientAddress returns a request as it is from whom it was sent by, and not from the proxies that passed it on: everybody who
// looks at its address is shown that of the client. It is the request itself unless a proxy that is trusted has sent it.
// Its headers stay, by which it is known not to come from this machine, whatever address they say.
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
	at := netip.AddrPortFrom(client, 0) // the port is not said
	r = r.WithContext(mirror.WithClient(r.Context(), net.TCPAddrFromAddrPort(at)))
	r.RemoteAddr = at.String()
	return r
}

// clientOf walks the list in the headers from its end, which the proxy nearest to us has written, for as long as those who
// wrote it are trusted: what stands before can be anybody's. Where it is no address, the one before is all that is known.
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

// parseAddr reads an address, to which some proxies add a port.
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

// ParseProxy reads the address of a proxy, or a network of them, as in 10.0.0.7, fd00::/8 or 192.168.0.0/16.
func ParseProxy(s string) (netip.Prefix, error) {
	if prefix, err := netip.ParsePrefix(s); err == nil {
		if addr := prefix.Addr(); addr.Is4In6() { // addresses are compared as IPv4
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
