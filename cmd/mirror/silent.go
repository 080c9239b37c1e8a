package main

import (
	"net"
	"net/http"
	"sync"
)

// silent are the connections of a server on which nothing has been asked yet. [http.Server.Shutdown] takes each for one
// that is just about to ask, and waits for seconds; clients open them in advance, and pools and port checks keep them.
type silent struct {
	mu      sync.Mutex
	conns   map[net.Conn]struct{}
	closing bool
}

// closeSilent has the silent connections of server closed when it shuts down.
func closeSilent(server *http.Server) {
	s := &silent{conns: make(map[net.Conn]struct{})}
	server.ConnState = s.state
	server.RegisterOnShutdown(s.close)
}

// state implements [http.Server.ConnState].
func (s *silent) state(conn net.Conn, state http.ConnState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case state != http.StateNew:
		delete(s.conns, conn)
	case s.closing: // accepted at the last moment
		conn.Close()
	default:
		s.conns[conn] = struct{}{}
	}
}

// close closes the silent connections, and those that come after it.
func (s *silent) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closing = true
	for conn := range s.conns {
		conn.Close()
	}
}
