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
	open     map[net.Conn]bool // all connections, but for those that are being closed
	shares   *mirror.Shares[netip.Prefix]
	byClient map[netip.Prefix]*list.List // of *idleConn, the one that is idle the longest first
	elements map[net.Conn]*list.Element
	closing  bool
}

type idleConn struct {
	net.Conn
	client netip.Prefix
	unused bool // no request has arrived yet
}

// ConnLimits limit the connections of a server.
type ConnLimits struct {
	// Idle limits the connections without a request in flight. A client has no more of them than it leaves for others, see
	// [mirror.Shares]; when it opens more, the one that is idle the longest is closed. At the limit, a client that has more
	// of them gives one up for a client that has fewer.
	Idle int
	// Total limits all connections. Further ones are closed at once. Zero is no limit.
	Total int
}

// LimitConns limits the connections of a server, which must not be serving yet.
//
// When the server shuts down, connections without any request yet are closed at once. [http.Server.Shutdown] would wait
// for seconds for their first request; clients and port checks open such connections in advance.
func LimitConns(server *http.Server, limits ConnLimits) {
	c := &idleConns{
		total: limits.Total, open: make(map[net.Conn]bool),
		shares:   mirror.NewShares[netip.Prefix](int64(limits.Idle)),
		byClient: make(map[netip.Prefix]*list.List), elements: make(map[net.Conn]*list.Element),
	}
	server.ConnState = c.setState
	server.RegisterOnShutdown(c.shutdown)
}

// setState implements [http.Server.ConnState].
func (c *idleConns) setState(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remove(conn)
	switch state {
	case http.StateNew:
		c.open[conn] = true
	case http.StateClosed, http.StateHijacked:
		delete(c.open, conn)
	}
	switch {
	case state == http.StateNew && (c.closing || c.total > 0 && len(c.open) > c.total): // during the shutdown, or too many
		c.close(conn)
	case state == http.StateNew || state == http.StateIdle:
		c.add(&idleConn{conn, mirror.NetworkOf(conn.RemoteAddr().String()), state == http.StateNew})
	}
}

// add adds a connection. At the limit it closes another one, or this one.
func (c *idleConns) add(conn *idleConn) {
	for !c.shares.Take(conn.client, 1) {
		oldest := c.byClient[c.shares.Yields(conn.client)]
		if oldest == nil { // the limit leaves no room for one
			c.close(conn.Conn)
			return
		}
		victim := oldest.Front().Value.(*idleConn)
		c.remove(victim.Conn)
		c.close(victim.Conn)
	}
	conns := c.byClient[conn.client]
	if conns == nil {
		conns = list.New()
		c.byClient[conn.client] = conns
	}
	c.elements[conn.Conn] = conns.PushBack(conn)
}

// remove removes a connection if it is idle.
func (c *idleConns) remove(conn net.Conn) {
	element, ok := c.elements[conn]
	if !ok {
		return
	}
	delete(c.elements, conn)
	client := element.Value.(*idleConn).client
	conns := c.byClient[client]
	if conns.Remove(element); conns.Len() == 0 {
		delete(c.byClient, client)
	}
	c.shares.Give(client, 1)
}

// shutdown closes the connections that have not had a request.
func (c *idleConns) shutdown() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closing = true
	for conn, element := range c.elements {
		if element.Value.(*idleConn).unused {
			c.close(conn)
		}
	}
}

// close closes a connection without the alert of TLS, which could block.
func (c *idleConns) close(conn net.Conn) {
	delete(c.open, conn)
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	conn.Close()
}
