package mirror_test

import (
	"net"
	"testing"

	"airmirror/mirror"
)

func TestNetworkOf(t *testing.T) {
	for address, want := range map[string]string{
		"192.0.2.7:5000": "192.0.2.7/32", "[2001:db8:1:2:3::4]:1": "2001:db8:1:2::/64", "[fe80::1%eth0]:1": "fe80::/64",
		"[::ffff:192.0.2.7]:1": "192.0.2.7/32", "192.0.2.7": "192.0.2.7/32", "2001:db8:1:2:3::4": "2001:db8:1:2::/64", "@": "invalid Prefix", "": "invalid Prefix",
	} {
		if got := mirror.NetworkOf(address).String(); got != want {
			t.Errorf("%s: got %s, want %s", address, got, want)
		}
	}
}

func TestNetworkOfPeer(t *testing.T) {
	for _, address := range []net.Addr{
		&net.TCPAddr{IP: net.IPv4(192, 0, 2, 7), Port: 5000}, &net.TCPAddr{IP: net.ParseIP("2001:db8:1:2:3::4"), Port: 1},
		&net.TCPAddr{IP: net.ParseIP("fe80::1"), Zone: "eth0", Port: 1}, &net.TCPAddr{Port: 1}, &net.UnixAddr{Name: "@", Net: "unix"},
	} {
		if got, want := mirror.NetworkOfPeer(address), mirror.NetworkOf(address.String()); got != want {
			t.Errorf("%s: got %s, want %s", address, got, want)
		}
	}
}

func TestNetworkName(t *testing.T) {
	for address, want := range map[string]string{
		"192.0.2.7:5000": "192.0.2.7", "[2001:db8:1:2:3::4]:1": "2001:db8:1:2::/64", "@": "@", "sock:1": "sock",
	} {
		if got := mirror.NetworkName(address); got != want {
			t.Errorf("%s: got %s, want %s", address, got, want)
		}
	}
}
