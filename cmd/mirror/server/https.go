package server

import (
	"bytes"
	"io"
	"net"
)

// plainHTTPAnswer is the answer to plain HTTP on a port that serves HTTPS: the errors of a registry, so that clients show the
// message. It repeats the text of net/http, by which other programs recognize the mistake.
const plainHTTPAnswer = "HTTP/1.0 400 Bad Request\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n" +
	`{"errors":[{"code":"UNSUPPORTED","message":"client sent an HTTP request to an HTTPS server: ` +
	`write https:// instead of http:// in the address of the mirror"}]}` + "\n"

// httpsListener is a listener whose connections speak TLS, and which answers plain HTTP with [plainHTTPAnswer].
type httpsListener struct{ net.Listener }

// Accept implements [net.Listener].
func (l httpsListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return httpsConn{conn}, nil
}

// httpsConn is a connection below TLS.
type httpsConn struct{ net.Conn }

// Write replaces the answer of net/http to plain HTTP, which does not say what to do. Everything else that is written is a
// record of TLS, whose first byte is a number from 20 to 24.
func (c httpsConn) Write(p []byte) (int, error) {
	if !bytes.HasPrefix(p, []byte("HTTP/")) {
		return c.Conn.Write(p)
	}
	if _, err := io.WriteString(c.Conn, plainHTTPAnswer); err != nil {
		return 0, err
	}
	return len(p), nil
}
