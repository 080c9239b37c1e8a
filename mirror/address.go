package mirror

import (
	"net"
	"net/netip"
)

// HostOf returns a network address without its port, or the address itself if it has none.
func HostOf(address string) string {
	if host, _, err := net.SplitHostPort(address); err == nil {
		return host
	}
	return address
}

// NetworkOf returns the network that limits and shares per client apply to: a single IPv4 address, or the /64 of an IPv6
// address, because one machine may use all addresses of a /64. The address may have a port. The result is the zero
// Prefix if address is not an IP address, as for a Unix socket.
func NetworkOf(address string) netip.Prefix {
	addr, err := netip.ParseAddr(HostOf(address))
	if err != nil {
		return netip.Prefix{}
	}
	return networkOf(addr)
}

// NetworkOfPeer is [NetworkOf] for the address of a connection.
func NetworkOfPeer(address net.Addr) netip.Prefix {
	if tcp, ok := address.(*net.TCPAddr); ok {
		if addr := tcp.AddrPort().Addr(); addr.IsValid() {
			return networkOf(addr)
		}
	}
	return NetworkOf(address.String())
}

func networkOf(addr netip.Addr) netip.Prefix {
	addr = addr.Unmap().WithZone("")
	prefix, err := addr.Prefix(min(64, addr.BitLen()))
	if err != nil { // the length is always valid
		panic(err)
	}
	return prefix
}

// NetworkName returns the network of an address for messages: an IPv4 address, or an IPv6 network such as
// 2001:db8::/64. See [NetworkOf].
func NetworkName(address string) string {
	switch network := NetworkOf(address); {
	case !network.IsValid():
		return HostOf(address)
	case network.IsSingleIP():
		return network.Addr().String()
	default:
		return network.String()
	}
}
