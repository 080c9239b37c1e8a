package middleware_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"airmirror/api/middleware"
)

// limited starts a server with limits of connections, and returns a function that connects to it from an address.
func limited(t *testing.T, limits middleware.ConnLimits, handler http.HandlerFunc) (dial func(from string) net.Conn) {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	middleware.LimitConns(server.Config, limits)
	go server.Config.Serve(server.Listener)
	t.Cleanup(func() { server.Config.Close() })
	return func(from string) net.Conn {
		t.Helper()
		dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		conn, err := dialer.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
}

// isClosed reports whether the server has closed a connection, or does within the timeout.
func isClosed(t *testing.T, conn net.Conn, timeout time.Duration) bool {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(timeout)); err != nil {
		t.Fatal(err)
	}
	_, err := conn.Read(make([]byte, 1))
	return !errors.Is(err, os.ErrDeadlineExceeded)
}

// get sends a request on a connection and returns the status, or 0 if there is no response.
func get(conn net.Conn) int {
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: mirror\r\n\r\n"); err != nil {
		return 0
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

func TestIdleConnectionsOfOneClientDoNotDisplaceOthers(t *testing.T) {
	const limit = 8
	dial := limited(t, middleware.ConnLimits{Idle: limit}, func(http.ResponseWriter, *http.Request) {})
	honest := dial("127.0.0.2")
	if status := get(honest); status != 200 { // it is idle afterwards
		t.Fatalf("the honest client got status %d", status)
	}
	var hostile []net.Conn
	for range 3 * limit {
		hostile = append(hostile, dial("127.0.0.3"))
	}
	const share = limit / 2 // less the one of the honest client
	for i, conn := range hostile[:len(hostile)-share] {
		if !isClosed(t, conn, 10*time.Second) {
			t.Fatalf("idle connection %d of %d is still open", i+1, len(hostile))
		}
	}
	if status := get(honest); status != 200 {
		t.Errorf("the idle connection of the honest client was closed: status %d", status)
	}
	if status := get(dial("127.0.0.2")); status != 200 {
		t.Errorf("a new connection of the honest client got status %d", status)
	}
	if last := hostile[len(hostile)-1]; get(last) != 200 {
		t.Error("the newest connection of the client with many was closed")
	}
}

// TestAnsweredConnectionsDoNotDisplaceNewOnes holds a client at its one idle connection, which has not sent its request yet,
// while the response on another connection of the client ends.
func TestAnsweredConnectionsDoNotDisplaceNewOnes(t *testing.T) {
	arrived, release := make(chan bool, 2), make(chan bool)
	dial := limited(t, middleware.ConnLimits{Idle: 2}, func(http.ResponseWriter, *http.Request) {
		arrived <- true
		<-release
	})
	answered, status := dial("127.0.0.2"), make(chan int)
	go func() { status <- get(answered) }()
	<-arrived
	unused := dial("127.0.0.2")
	close(release)
	if got := <-status; got != 200 {
		t.Fatalf("the first request got status %d", got)
	}
	if !isClosed(t, answered, 30*time.Second) {
		t.Error("the connection with a response is open besides the new one")
	}
	if got := get(unused); got != 200 {
		t.Errorf("the new connection got status %d", got)
	}
}

func TestNewConnectionsReplaceIdleOnesAtTheLimitOfAll(t *testing.T) {
	arrived, release := make(chan bool, 2), make(chan bool)
	dial := limited(t, middleware.ConnLimits{Idle: 100, Total: 2}, func(http.ResponseWriter, *http.Request) {
		arrived <- true
		<-release
	})
	idle, active := dial("127.0.0.2"), dial("127.0.0.2")
	status := make(chan int)
	go func() { status <- get(active) }()
	<-arrived
	replacing := dial("127.0.0.2")
	if !isClosed(t, idle, 30*time.Second) {
		t.Fatal("the idle connection is open, which is one more than the limit")
	}
	go func() { status <- get(replacing) }()
	<-arrived
	if !isClosed(t, dial("127.0.0.2"), 30*time.Second) {
		t.Error("a new connection is open although there is no idle one to close")
	}
	close(release)
	for range 2 {
		if got := <-status; got != 200 {
			t.Errorf("a request in flight got status %d", got)
		}
	}
}

func TestActiveConnectionsAreNotIdle(t *testing.T) {
	const limit = 2 // one idle connection per client
	arrived, release := make(chan bool), make(chan bool)
	dial := limited(t, middleware.ConnLimits{Idle: limit}, func(http.ResponseWriter, *http.Request) {
		arrived <- true
		<-release
	})
	statuses := make(chan int)
	for range 3 {
		conn := dial("127.0.0.2")
		go func() { statuses <- get(conn) }()
		<-arrived
	}
	close(release)
	for range 3 {
		if status := <-statuses; status != 200 {
			t.Errorf("a request got status %d", status)
		}
	}
}

// TestShutdownClosesUnusedConnections runs in fake time: [http.Server.Shutdown] itself waits five seconds for the first
// request of a connection.
func TestShutdownClosesUnusedConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		arrived, release := make(chan bool), make(chan bool)
		server := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			close(arrived)
			<-release
		})}
		middleware.LimitConns(server, middleware.ConnLimits{Idle: 100})
		listener := newPipeListener()
		go server.Serve(listener)
		unused, active := listener.dial(), listener.dial()
		status := make(chan int)
		go func() { status <- get(active) }()
		<-arrived
		stopped, started := make(chan error), time.Now()
		go func() { stopped <- server.Shutdown(context.Background()) }()
		if _, err := unused.Read(make([]byte, 1)); err == nil {
			t.Error("the unused connection received something")
		}
		if took := time.Since(started); took >= time.Second {
			t.Errorf("the unused connection was closed after %s", took)
		}
		close(release)
		if got := <-status; got != 200 {
			t.Errorf("the request in flight got status %d", got)
		}
		if err := <-stopped; err != nil {
			t.Error(err)
		}
	})
}

// pipeListener accepts connections in memory, which block as fake time expects.
type pipeListener struct {
	conns  chan net.Conn
	closed chan bool
	close  sync.Once
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), closed: make(chan bool)}
}

func (l *pipeListener) dial() net.Conn {
	client, server := net.Pipe()
	l.conns <- server
	return client
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.close.Do(func() { close(l.closed) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{} }
