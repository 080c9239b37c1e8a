package middleware

import (
	"container/list"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"sync"

	"airmirror/mirror"
)

// idleConns tracks the connections of a server, and those of them that have no request in flight.
type idleConns struct {
	total    int // limit of all connections; 0 is none
	mu       sync.Mutex
	conns    map[net.Conn]*trackedConn // all connections, but for those that are being closed
	shares   *mirror.Shares[netip.Prefix]
	byClient map[netip.Prefix]*list.List // of *trackedConn, the one that is idle the longest first
	closing  bool
}

// trackedConn is a connection from its first to its last state, so that a request only moves it from one list to another.
type trackedConn struct {
	net.Conn
	client  netip.Prefix
	element *list.Element // nil while a request is in flight
	unused  bool          // no request has arrived yet
}

// ConnLimits limit the connections of a server.
type ConnLimits struct {
	// Idle limits the connections without a request in flight. A client has no more of them than it leaves for others, see
	// [mirror.Shares]; when it opens more, the one that is idle the longest is closed. At the limit, a client that has more
	// of them gives one up for a client that has fewer.
	Idle int
	// Total limits all connections. At the limit, an idle one is closed for a new one. If the client of the new connection
	// leaves none of them to close, the new one is closed. Zero is no limit.
	Total int
}

// LimitConns limits the connections of a server, which must not be serving yet.
//
// When the server shuts down, connections without any request yet are closed at once. [http.Server.Shutdown] would wait
// for seconds for their first request; clients and port checks open such connections in advance.
func LimitConns(server *http.Server, limits ConnLimits) {
	c := &idleConns{
		total: limits.Total, conns: make(map[net.Conn]*trackedConn),
		shares: mirror.NewShares[netip.Prefix](int64(limits.Idle)), byClient: make(map[netip.Prefix]*list.List),
	}
	server.ConnState = c.setState
	server.RegisterOnShutdown(c.shutdown)
}

// setState implements [http.Server.ConnState].
func (c *idleConns) setState(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if state == http.StateNew {
		c.begin(conn)
		return
	}
	tracked := c.conns[conn]
	if tracked == nil { // it is being closed
		return
	}
	c.remove(tracked)
	tracked.unused = false
	switch state {
	case http.StateIdle:
		c.add(tracked)
	case http.StateClosed, http.StateHijacked:
		delete(c.conns, conn)
	}
}

// begin adds a new connection, or closes it during the shutdown or if there are too many.
func (c *idleConns) begin(conn net.Conn) {
	tracked := &trackedConn{Conn: conn, client: mirror.NetworkOfPeer(conn.RemoteAddr()), unused: true}
	if c.closing || c.total > 0 && len(c.conns) >= c.total && !c.closeIdle(tracked) {
		c.close(tracked)
		return
	}
	c.conns[conn] = tracked
	c.add(tracked)
}

// add adds a connection that is idle now. At the limit it closes another one, or this one.
func (c *idleConns) add(conn *trackedConn) {
	for !c.shares.Take(conn.client, 1) {
		if !c.closeIdle(conn) {
			c.close(conn)
			return
		}
	}
	conns := c.byClient[conn.client]
	if conns == nil {
		conns = list.New()
		c.byClient[conn.client] = conns
	}
	conn.element = conns.PushBack(conn)
}

// closeIdle closes the idle connection that makes room for conn, and reports whether there is one. A connection that has
// had its response does not displace one of the same client whose first request may be on its way: that client would get no
// response at all.
func (c *idleConns) closeIdle(conn *trackedConn) bool {
	oldest := c.byClient[c.shares.Yields(conn.client)]
	if oldest == nil {
		return false
	}
	victim := oldest.Front().Value.(*trackedConn)
	if victim.unused && !conn.unused && victim.client == conn.client {
		return false
	}
	c.remove(victim)
	c.close(victim)
	return true
}

// remove removes a connection from the idle ones if it is one of them.
func (c *idleConns) remove(conn *trackedConn) {
	if conn.element == nil {
		return
	}
	conns := c.byClient[conn.client]
	if conns.Remove(conn.element); conns.Len() == 0 {
		delete(c.byClient, conn.client)
	}
	conn.element = nil
	c.shares.Give(conn.client, 1)
}

// shutdown closes the connections that have not had a request.
func (c *idleConns) shutdown() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closing = true
	for _, conn := range c.conns {
		if conn.unused {
			c.remove(conn)
			c.close(conn)
		}
	}
}

// close closes a connection that is not among the idle ones, without the alert of TLS, which could block.
func (c *idleConns) close(tracked *trackedConn) {
	delete(c.conns, tracked.Conn)
	conn := tracked.Conn
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	conn.Close()
}
