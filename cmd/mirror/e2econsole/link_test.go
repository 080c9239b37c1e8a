package e2econsole_test

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// linkLimits say when a link interferes.
type linkLimits struct {
	sent, received int64 // bytes that were sent to the mirror, or received from it; 0 for no limit
	stalls         bool  // nothing more is sent until the link is released; else all connections are cut once
}

// link passes connections on to a mirror. At its limit it cuts all of them, and goes on with new ones, or stalls.
type link struct {
	address string
	sent    atomic.Int64  // bytes that were sent to the mirror
	reached chan struct{} // closed when it was cut, or holds back what is sent
	release chan struct{}

	limits   linkLimits
	received atomic.Int64
	once     sync.Once
	mu       sync.Mutex
	open     map[net.Conn]bool
}

func startLink(t *testing.T, to string, limits linkLimits) *link {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	l := &link{
		address: listener.Addr().String(), reached: make(chan struct{}), release: make(chan struct{}), limits: limits, open: map[net.Conn]bool{},
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
			working.Go(func() { pass(server, io.TeeReader(client, counter{l, &l.sent, limits.sent})) })
			working.Go(func() { pass(client, io.TeeReader(server, counter{l, &l.received, limits.received})) })
		}
	})
	return l
}

// pass copies one direction of a connection. The wrapper keeps io.Copy from copying within the kernel, where nothing counts.
func pass(to io.WriteCloser, from io.Reader) {
	_, _ = io.Copy(struct{ io.Writer }{to}, from)
	to.Close()
}

// counter counts the bytes of a direction, and interferes at its limit.
type counter struct {
	*link
	count *atomic.Int64
	limit int64
}

func (c counter) Write(p []byte) (int, error) {
	if now := c.count.Add(int64(len(p))); c.limit == 0 || now < c.limit {
		return len(p), nil
	}
	c.once.Do(func() {
		close(c.reached)
		if !c.limits.stalls {
			c.cut()
		}
	})
	if c.limits.stalls {
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
