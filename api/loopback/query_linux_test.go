package loopback

import (
	"errors"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

// TestQueriesShareASocket checks that queries use one netlink socket, also after a query that found nothing, and that a
// failed query replaces the socket.
func TestQueriesShareASocket(t *testing.T) {
	client := dialListener(t, "127.0.0.1:0")
	local, remote := addressOf(client.LocalAddr()), addressOf(client.RemoteAddr())
	nobody := netip.AddrPortFrom(local.Addr(), 1)
	find := func() {
		t.Helper()
		if found, err := querySocket(local, remote); err != nil || found.local != local || found.remote != remote {
			t.Errorf("%s to %s: %+v, %v", local, remote, found, err)
		}
	}
	find()
	first := kernel.socket
	if first == nil {
		t.Fatal("the socket was closed after a query")
	}
	if found, err := querySocket(nobody, remote); !errors.Is(err, unix.ENOENT) {
		t.Errorf("a connection that does not exist: %+v, %v", found, err)
	}
	if entries, err := dumpSockets(unix.AF_INET); err != nil || len(entries) < 3 {
		t.Errorf("all sockets: %d, %v", len(entries), err)
	}
	find()
	if kernel.socket != first {
		t.Error("the queries used several sockets")
	}
	first.Close()
	if found, err := querySocket(local, remote); err == nil {
		t.Errorf("a query over a closed socket: %+v", found)
	}
	find()
}
