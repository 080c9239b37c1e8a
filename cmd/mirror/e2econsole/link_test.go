package e2econsole_test

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// link passes connections on to a mirror. Once a number of bytes was sent through it, it either cuts all connections and goes
// on with new ones, or passes nothing more on until it is released.
type link struct {
	address string
	sent    atomic.Int64  // bytes that were sent to the mirror
	reached chan struct{} // closed when it was cut, or holds back what is sent
	release chan struct{}

	limit  int64
	stalls bool
	once   sync.Once
	mu     sync.Mutex
	open   map[net.Conn]bool
}

func startLink(t *testing.T, to string, limit int64, stalls bool) *link {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	l := &link{
		address: listener.Addr().String(), reached: make(chan struct{}), release: make(chan struct{}), limit: limit, stalls: stalls, open: map[net.Conn]bool{},
	}
	var working sync.WaitGroup
	t.Cleanup(func() {
		listener.Close()
		l.cut()
		working.Wait()
	})
	working.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", to)
			if err != nil {
				client.Close()
				continue
			}
			l.mu.Lock()
			l.open[client], l.open[server] = true, true
			l.mu.Unlock()
			working.Go(func() { l.pass(server, io.TeeReader(client, counter{l})); server.Close() })
			working.Go(func() { l.pass(client, server); client.Close() })
		}
	})
	return l
}

func (l *link) pass(to io.Writer, from io.Reader) { _, _ = io.Copy(struct{ io.Writer }{to}, from) }

// counter counts what is sent, and interferes at the limit.
type counter struct{ *link }

func (c counter) Write(p []byte) (int, error) {
	if c.sent.Add(int64(len(p))) < c.limit {
		return len(p), nil
	}
	c.once.Do(func() {
		close(c.reached)
		if !c.stalls {
			c.cut()
		}
	})
	if c.stalls {
		<-c.release
	}
	return len(p), nil
}

// cut closes all connections.
func (l *link) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for conn := range l.open {
		conn.Close()
	}
	clear(l.open)
}
