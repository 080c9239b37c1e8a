package loopback

import (
	"net"
	"net/netip"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// TestFindSocketEqualsTable: the query for one socket has the result of the table, for IPv4, IPv6 and dual-stack
// listeners.
func TestFindSocketEqualsTable(t *testing.T) {
	for _, c := range []struct{ listen, dial string }{{"127.0.0.1:0", "127.0.0.1"}, {"[::1]:0", "::1"}, {":0", "127.0.0.1"}, {":0", "::1"}} {
		listener, err := net.Listen("tcp", c.listen)
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		_, port, _ := net.SplitHostPort(listener.Addr().String())
		client, err := net.Dial("tcp", net.JoinHostPort(c.dial, port))
		if err != nil {
			t.Fatal(err)
		}
		remote, local := addressOf(client.LocalAddr()), addressOf(client.RemoteAddr())
		if _, err := querySocket(remote, local); err != nil {
			t.Errorf("%s to %s: the kernel does not answer: %v", remote, local, err)
		}
		got, err := findSocket(remote, local)
		want, wantErr := findInTable(remote, local)
		if got != want || err != nil || wantErr != nil || got.inode == 0 {
			t.Errorf("%s to %s: %+v, %v; the table has %+v, %v", remote, local, got, err, want, wantErr)
		}
		client.Close()
		if got, err := findSocket(remote, local); err == nil {
			t.Errorf("%s to %s: %+v after it was closed", remote, local, got)
		}
	}
}

// dialListener listens on an address of this machine and returns a connection to it. Both end with the test.
func dialListener(t *testing.T, address string) net.Conn {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	client, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

// TestFindSocketAmongBoundSockets: another process may have bound the port of the client on another address.
func TestFindSocketAmongBoundSockets(t *testing.T) {
	client := dialListener(t, "127.0.0.1:0")
	remote, local := addressOf(client.LocalAddr()), addressOf(client.RemoteAddr())
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrInet4{Port: int(remote.Port()), Addr: [4]byte{127, 0, 0, 2}}); err != nil {
		t.Fatal(err)
	}
	if got, err := findSocket(remote, local); err != nil || got.local != remote || got.remote != local {
		t.Errorf("%s to %s: %+v, %v", remote, local, got, err)
	}
}

// TestDumpEqualsTable: both have the same sockets of this process.
func TestDumpEqualsTable(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0", ":0"} {
		dialListener(t, address)
	}
	table, err := readTable()
	if err != nil {
		t.Fatal(err)
	}
	var dump []entry
	for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
		part, err := dumpSockets(family)
		if err != nil {
			t.Fatal(err)
		}
		dump = append(dump, part...)
	}
	own := openFiles("self").inodes
	count := 0
	for _, e := range table {
		if !slices.Contains(own, e.inode) {
			continue
		}
		if count++; !slices.Contains(dump, e) {
			t.Errorf("the dump does not have %+v", e)
		}
	}
	if count < 6 {
		t.Errorf("the table has %d sockets of this process, want 6 or more", count)
	}
}

func addressOf(a net.Addr) netip.AddrPort { return unmap(a.(*net.TCPAddr).AddrPort()) }
