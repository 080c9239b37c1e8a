package middleware_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"airmirror/api/middleware"
)

// TestConnectionClosesAfterAmbiguousRequest: bytes after the chunks of a forwarded request that also has a
// Content-Length are not taken for another request.
func TestConnectionClosesAfterAmbiguousRequest(t *testing.T) {
	url, _ := serve(t, middleware.Settings{}, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	for _, tt := range []struct {
		name, headers string
		answers       int
	}{
		{"chunks and a length, passed on", "X-Forwarded-For: 10.0.0.9\r\nTransfer-Encoding: chunked\r\nContent-Length: 500\r\n\r\n0\r\n\r\n", 1},
		{"chunks, passed on", "Via: 1.1 proxy\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 1},
		{"a length, passed on", "Via: 1.1 proxy\r\nContent-Length: 2\r\n\r\nok", 2},
		{"chunks of a client's own", "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 2},
		{"HTTP/1.0 with a body", "Connection: keep-alive\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", 1},
		{"HTTP/1.0 without", "Connection: keep-alive\r\n\r\n", 2},
	} {
		for _, path := range []string{"/", "/healthz"} {
			t.Run(tt.name+" "+path, func(t *testing.T) {
				version := "1.1"
				if strings.HasPrefix(tt.name, "HTTP/1.0") {
					version = "1.0"
				}
				first := "POST " + path + " HTTP/" + version + "\r\nHost: mirror\r\n" + tt.headers
				if got := answers(t, url, first+"GET / HTTP/1.1\r\nHost: mirror\r\nConnection: close\r\n\r\n"); got != tt.answers {
					t.Errorf("%d answers, want %d", got, tt.answers)
				}
			})
		}
	}
}

// answers sends text and returns the number of responses before the connection ends.
func answers(t *testing.T, url, text string) (n int) {
	t.Helper()
	connection, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	if _, err := io.WriteString(connection, text); err != nil {
		t.Fatal(err)
	}
	for in := bufio.NewReader(connection); ; n++ {
		response, err := http.ReadResponse(in, nil)
		if err != nil {
			return n
		}
		_, _ = io.Copy(io.Discard, response.Body)
	}
}
