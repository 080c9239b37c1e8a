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
	"testing"
	"time"

	"airmirror/api/middleware"
)

// limited starts a server that limits idle connections, and returns a function that connects to it from an address.
func limited(t *testing.T, limit int, handler http.HandlerFunc) (server *httptest.Server, dial func(from string) net.Conn) {
	t.Helper()
	server = httptest.NewUnstartedServer(handler)
	middleware.LimitConns(server.Config, middleware.ConnLimits{Idle: limit})
	go server.Config.Serve(server.Listener)
	t.Cleanup(func() { server.Config.Close() })
	return server, func(from string) net.Conn {
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
	_, dial := limited(t, limit, func(http.ResponseWriter, *http.Request) {})
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

func TestActiveConnectionsAreNotIdle(t *testing.T) {
	const limit = 2 // one idle connection per client
	arrived, release := make(chan bool), make(chan bool)
	_, dial := limited(t, limit, func(http.ResponseWriter, *http.Request) {
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

func TestShutdownClosesUnusedConnections(t *testing.T) {
	arrived, release := make(chan bool), make(chan bool)
	server, dial := limited(t, 100, func(http.ResponseWriter, *http.Request) {
		close(arrived)
		<-release
	})
	unused, active := dial("127.0.0.1"), dial("127.0.0.1")
	status := make(chan int)
	go func() { status <- get(active) }()
	<-arrived // the server accepts in order, so it knows the unused connection by now
	stopped, started := make(chan error), time.Now()
	go func() { stopped <- server.Config.Shutdown(context.Background()) }()
	if !isClosed(t, unused, 20*time.Second) {
		t.Error("the unused connection is open during the shutdown")
	}
	close(release)
	if got := <-status; got != 200 {
		t.Errorf("the request in flight got status %d", got)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if took := time.Since(started); took > 4*time.Second {
		t.Errorf("the shutdown took %s", took)
	}
}
