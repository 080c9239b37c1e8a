package server

import (
	"net"
	"net/http"
	"syscall"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// exhausted is a listener that first has no file descriptors, and is then closed.
type exhausted struct {
	net.Listener
	accepts int
}

func (l *exhausted) Accept() (net.Conn, error) {
	if l.accepts++; l.accepts == 1 {
		return nil, syscall.EMFILE // temporary: net/http goes on
	}
	return nil, net.ErrClosed
}

func TestErrorsOfNetHTTPAreLoggedAsWarnings(t *testing.T) {
	core, logged := observer.New(zap.WarnLevel)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	_ = newHTTPServer(http.NotFoundHandler(), otherConns, zap.New(core)).Serve(&exhausted{Listener: listener})
	if logged.FilterMessageSnippet("too many open files").Len() != 1 {
		t.Errorf("logged %v", logged.All())
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
