//go:build linux

package loopback_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"airmirror/api/loopback"
)

// TestMain is also the main function of the processes that the tests start. LOOPBACK_TEST is their role.
func TestMain(m *testing.M) {
	switch what := os.Getenv("LOOPBACK_TEST"); what {
	case "":
		os.Exit(m.Run())
	case "client":
		hold(dial())
	case "proxy", "reset": // a reset proxy has lost its client and has not noticed
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		check(err)
		client, err := net.Dial("tcp", listener.Addr().String())
		check(err)
		accepted, err := listener.Accept()
		check(err)
		if what == "reset" {
			check(client.(*net.TCPConn).SetLinger(0))
			client.Close()
		}
		hold(dial(), client, accepted)
	case "changing": // a client that turns into a proxy before its second connection
		first := dial()
		_, err := os.Stdin.Read(make([]byte, 1))
		check(err)
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		check(err)
		defer listener.Close()
		hold(first, dial())
	case "forked": // a child of a proxy, as with socat: it has the accepted connection and not the listener
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		check(err)
		client, err := net.Dial("tcp", listener.Addr().String())
		check(err)
		accepted, err := listener.Accept()
		check(err)
		file, err := accepted.(*net.TCPConn).File()
		check(err)
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), "LOOPBACK_TEST=client")
		child.ExtraFiles = []*os.File{file}
		child.Stdin, child.Stdout, child.Stderr = os.Stdin, os.Stdout, os.Stderr
		check(child.Run())
		hold(client)
	}
}

func dial() net.Conn {
	connection, err := net.Dial("tcp", os.Getenv("LOOPBACK_ADDRESS"))
	check(err)
	return connection
}

// hold keeps connections open until the test ends the process by closing its standard input.
func hold(open ...net.Conn) {
	_, _ = io.Copy(io.Discard, os.Stdin)
	for _, connection := range open {
		connection.Close()
	}
}

func check(err error) {
	if err != nil {
		os.Stderr.WriteString(err.Error() + "\n")
		os.Exit(1)
	}
}

// connected starts a process that connects to a listener, and returns the two ends' addresses.
func connected(t *testing.T, what string, uid uint32) (remote, local netip.AddrPort) {
	t.Helper()
	accept, _ := startProcess(t, what, uid)
	return accept()
}

// startProcess starts a process that connects to a listener. accept returns the addresses of its next connection.
func startProcess(t *testing.T, what string, uid uint32) (accept func() (remote, local netip.AddrPort), stdin io.Writer) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	process := exec.Command("/proc/self/exe")
	process.Env = append(os.Environ(), "LOOPBACK_TEST="+what, "LOOPBACK_ADDRESS="+listener.Addr().String())
	process.Stderr = os.Stderr
	if uid != 0 {
		process.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	}
	pipe, err := process.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pipe.Close(); _ = process.Wait() })
	return func() (remote, local netip.AddrPort) {
		t.Helper()
		accepted, err := listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { accepted.Close() })
		return address(accepted.RemoteAddr()), address(accepted.LocalAddr())
	}, pipe
}

func address(a net.Addr) netip.AddrPort { return a.(*net.TCPAddr).AddrPort() }

// TestCheck uses real processes: clients are accepted, and possible proxies are refused.
func TestCheck(t *testing.T) {
	for _, tt := range []struct {
		what string
		uid  uint32
		want string // in the error; "" for no error
	}{
		{"client", 0, ""},
		{"proxy", 0, "listens on 127.0.0.1:"},
		{"reset", 0, "listens on 127.0.0.1:"},
		{"forked", 0, "has accepted a connection from 127.0.0.1:"},
		{"client", 65534, "user ID 65534"},
	} {
		t.Run(tt.what, func(t *testing.T) {
			if tt.uid != 0 && os.Geteuid() != 0 {
				t.Skip("only root can start a process of another account")
			}
			remote, local := connected(t, tt.what, tt.uid)
			checker := loopback.New()
			for range 2 { // the second result is cached
				err := checker.Check(remote, local)
				if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
					t.Errorf("%v, want %q", err, tt.want)
				}
			}
			mapped := netip.AddrPortFrom(netip.AddrFrom16(remote.Addr().As16()), remote.Port())
			if err := checker.Check(mapped, local); (err == nil) != (tt.want == "") {
				t.Errorf("with the IPv4 address mapped to IPv6: %v", err)
			}
		})
	}
}

// TestKnownClientIsInspectedAgain: a process that was a client is refused as soon as it could be a proxy, even though the
// checker remembers it.
func TestKnownClientIsInspectedAgain(t *testing.T) {
	accept, stdin := startProcess(t, "changing", 0)
	checker := loopback.New()
	if err := checker.Check(accept()); err != nil {
		t.Fatalf("a client is refused: %v", err)
	}
	if _, err := io.WriteString(stdin, "\n"); err != nil {
		t.Fatal(err)
	}
	if err := checker.Check(accept()); err == nil || !strings.Contains(err.Error(), "listens on 127.0.0.1:") {
		t.Errorf("the process listens now: got %v, want an error that says so", err)
	}
}

// TestClientMayBeAnUpstream: a process may be an upstream and a client of the mirror.
func TestClientMayBeAnUpstream(t *testing.T) {
	listener, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skip("this machine has no IPv6")
	}
	defer listener.Close()
	client, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	accepted, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer accepted.Close()
	remote, local := address(client.LocalAddr()), address(client.RemoteAddr())
	if err := loopback.New().Check(remote, local); err == nil || !strings.Contains(err.Error(), "listens on [::1]:") {
		t.Errorf("a process that listens: %v", err)
	}
	// Both ends of the accepted connection belong to this process.
	if err := loopback.New(local.Port()).Check(remote, local); err != nil {
		t.Errorf("a process that listens as an upstream: %v", err)
	}
}

// TestClosedConnection: the process of a connection that is closed or never existed is unknown.
func TestClosedConnection(t *testing.T) {
	remote, local := connected(t, "client", 0)
	if err := loopback.New().Check(local, netip.AddrPortFrom(remote.Addr(), 1)); err == nil {
		t.Error("the connection does not exist, and a client was found for it")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	client, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer accepted.Close()
	client.Close()
	if _, err := bufio.NewReader(accepted).ReadByte(); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	checker := loopback.New(address(listener.Addr()).Port())
	if err := checker.Check(address(accepted.RemoteAddr()), address(accepted.LocalAddr())); err == nil || !strings.Contains(err.Error(), "no process") {
		t.Errorf("after the client closed the connection: %v", err)
	}
}
