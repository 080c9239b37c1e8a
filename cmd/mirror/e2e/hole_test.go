//go:build e2e

package e2e_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// hole is the only way into a network namespace: it listens on an address outside, and each connection to it is one to
// the same address inside. So what counts the namespace's connections is known to count the test's own.
type hole struct {
	dials atomic.Int64
}

func newHole(t *testing.T, inside []string, addr string) *hole {
	t.Helper()
	namespace := strings.TrimPrefix(inside[1], "--net=")
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	var h hole
	var passing sync.WaitGroup
	passing.Go(func() {
		for {
			outer, err := listener.Accept()
			if err != nil {
				return
			}
			passing.Go(func() { h.pass(outer, namespace, addr) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		passing.Wait()
	})
	return &h
}

// pass lets one connection through until both ends have said all.
func (h *hole) pass(outer net.Conn, namespace, addr string) {
	defer outer.Close()
	h.dials.Add(1)
	inner, err := dialIn(namespace, addr)
	if err != nil {
		return
	}
	defer inner.Close()
	var there sync.WaitGroup
	there.Go(func() {
		_, _ = io.Copy(inner, outer) // it ends when either end does
		_ = inner.(*net.TCPConn).CloseWrite()
	})
	_, _ = io.Copy(outer, inner)
	_ = outer.(*net.TCPConn).CloseWrite()
	there.Wait()
}

// dialIn connects to an address in a network namespace. A socket stays in the namespace that it was made in.
func dialIn(namespace, addr string) (net.Conn, error) {
	// The thread has to come back: if it ended instead, so would the servers that were started from it, by Pdeathsig.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	here, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return nil, err
	}
	defer here.Close()
	there, err := os.Open(namespace)
	if err != nil {
		return nil, err
	}
	defer there.Close()
	if err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
		return nil, err
	}
	defer func() {
		if err := unix.Setns(int(here.Fd()), unix.CLONE_NEWNET); err != nil {
			panic(err) // whatever runs on this thread next would be in the wrong network
		}
	}()
	return net.Dial("tcp", addr)
}

// counters reads what the kernel has counted in the network namespace of a process, by its names for it in snmp and
// snmp6: TcpActiveOpens, UdpOutDatagrams, IpOutNoRoutes, ...
func counters(t *testing.T, p *process) map[string]int64 {
	t.Helper()
	counted := map[string]int64{}
	count := func(name, value string) {
		if n, err := strconv.ParseInt(value, 10, 64); err == nil {
			counted[name] = n
		}
	}
	read := func(name string) (lines [][]string) {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", p.cmd.Process.Pid, name))
		if err != nil && !os.IsNotExist(err) { // a kernel without IPv6
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			lines = append(lines, strings.Fields(line))
		}
		return lines
	}
	for pair := range slices.Chunk(read("snmp"), 2) { // a line of names, and one of numbers
		for i, name := range pair[0] {
			count(strings.TrimSuffix(pair[0][0], ":")+name, pair[1][i])
		}
	}
	for _, line := range read("snmp6") {
		count(line[0], line[1])
	}
	return counted
}

// TestOfflineModeInANetworkWithoutARoute: the mode was set long ago, with a network. Without one, all stored content is
// served at once, and no connection is tried.
func TestOfflineModeInANetworkWithoutARoute(t *testing.T) {
	const size = 64 << 20
	hub := startUpstream(t)
	filled := startMirror(t, mirrorOf(hub))
	big, layer := bigIndex(t, size)
	bigDigest := push(t, big, hub.addr+"/library/airmirror-big:1").String()
	digest := push(t, helloIndex(t, ociFormat, "hello from the hub"), hub.addr+"/library/airmirror-hello:1").String()
	filled.ask(t, "sync", "airmirror-big:1", "airmirror-hello:1")
	if got := filled.ask(t, "mode", "offline"); got != "offline (was auto)\n" {
		t.Errorf("mirror mode offline prints %q", got)
	}
	filled.stopCleanly(t)
	hub.stop(t)

	inside := isolatedNetwork(t)
	hole := newHole(t, inside, filled.addr)
	mirror := &server{addr: filled.addr, data: filled.data}
	mirror.process = start(t, environment(t), append(inside, serve(mirror.addr, mirror.data, "--tag-ttl=1ms", "--upstream-timeout=10m")...)...)
	mirror.waitReady(t, mirror.addr)

	wantWhole(t, mirror.addr+"/library/airmirror-hello:1", digest)
	wantWhole(t, mirror.addr+"/library/airmirror-big:1", bigDigest)
	wantSoon(t, mirror.addr, heldPath)
	wantMiss(t, mirror.addr, missPath)
	wantMiss(t, mirror.addr, missPath+"?ns=ghcr.io")

	began := time.Now()
	response, err := http.Get("http://" + mirror.addr + "/v2/library/airmirror-big/blobs/" + layer.String())
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if _, err := io.ReadFull(response.Body, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	first := time.Since(began)
	rest, err := io.Copy(io.Discard, response.Body)
	all := time.Since(began)
	if err != nil || rest != layer.size-1 {
		t.Errorf("%d bytes came after the first (%v), want %d", rest, err, layer.size-1)
	}
	if all > soon {
		t.Errorf("the first byte of a blob came after %v and the last after %v, want at most %v", first, all, soon)
	}
	t.Logf("the first byte came after %v, all %d MiB after %v", first, layer.size>>20, all)

	status := mirror.status(t)
	if status.Mode != "offline" || status.Wants != 2 {
		t.Errorf("mirror status: mode %s with %d wants, want offline with 2", status.Mode, status.Wants)
	}
	counted := counters(t, mirror.process)
	if own := hole.dials.Load(); counted["TcpActiveOpens"] != own {
		t.Errorf("%d connections were tried in the namespace, %d of them by this test", counted["TcpActiveOpens"], own)
	}
	for _, name := range []string{"UdpOutDatagrams", "Udp6OutDatagrams", "IpOutNoRoutes", "Ip6OutNoRoutes"} {
		if counted[name] != 0 {
			t.Errorf("the kernel counted %d %s in the namespace, want none", counted[name], name)
		}
	}
}
