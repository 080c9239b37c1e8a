//go:build bench

package bench_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// conn is one connection with keep-alive. It speaks just enough HTTP: net/http's client costs more than the servers
// that are measured, and shares their cores.
type conn struct {
	net.Conn
	addr string
	r    *bufio.Reader
	out  []byte
}

// response is the head of an answer. Its body, of length bytes, is to be read next.
type response struct {
	status   int
	length   int64
	location string // path and query
}

func dial(addr string) (*conn, error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, addr: addr, r: bufio.NewReaderSize(c, 16<<10)}, nil
}

// send sends a request. header is whole lines, each with its CRLF.
func (c *conn) send(method, target, header string, body []byte) error {
	c.out = append(c.out[:0], method...)
	c.out = append(c.out, ' ')
	c.out = append(c.out, target...)
	c.out = append(c.out, " HTTP/1.1\r\nHost: "...)
	c.out = append(c.out, c.addr...)
	c.out = append(c.out, "\r\n"...)
	c.out = append(c.out, header...)
	if body != nil || method == http.MethodPost || method == http.MethodPut {
		if !strings.Contains(header, "Transfer-Encoding") {
			c.out = fmt.Appendf(c.out, "Content-Length: %d\r\n", len(body))
		}
	}
	c.out = append(c.out, "\r\n"...)
	c.out = append(c.out, body...)
	_, err := c.Write(c.out)
	return err
}

// receive reads the head of an answer.
func (c *conn) receive(head bool) (r response, err error) {
	for first := true; ; first = false {
		line, err := c.r.ReadSlice('\n')
		if err != nil {
			return r, err
		}
		line = bytes.TrimRight(line, "\r\n")
		if first {
			if len(line) < 12 {
				return r, fmt.Errorf("status line %q", line)
			}
			if r.status, err = strconv.Atoi(string(line[9:12])); err != nil {
				return r, fmt.Errorf("status line %q", line)
			}
			continue
		}
		if len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(": "))
		switch {
		case bytes.EqualFold(name, []byte("Content-Length")):
			if r.length, err = strconv.ParseInt(string(value), 10, 64); err != nil {
				return r, fmt.Errorf("header %q", line)
			}
		case bytes.EqualFold(name, []byte("Location")):
			r.location = string(value)
			if _, after, ok := strings.Cut(r.location, "://"+c.addr); ok {
				r.location = after
			}
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			return r, fmt.Errorf("the answer has no length: %s", line)
		}
	}
	if head || r.status == http.StatusNoContent {
		r.length = 0
	}
	return r, nil
}

// do sends a request whose answer must have the status, and returns the answer's body in buf, which may be nil.
func (c *conn) do(status int, method, target, header string, body, buf []byte) (response, []byte, error) {
	if err := c.send(method, target, header, body); err != nil {
		return response{}, nil, err
	}
	r, err := c.receive(method == http.MethodHead)
	if err != nil {
		return r, nil, fmt.Errorf("%s %s: %w", method, target, err)
	}
	if int64(cap(buf)) < r.length {
		buf = make([]byte, r.length)
	}
	buf = buf[:r.length]
	if _, err := io.ReadFull(c.r, buf); err != nil {
		return r, nil, fmt.Errorf("%s %s: %w", method, target, err)
	}
	if r.status != status {
		return r, nil, fmt.Errorf("%s %s: status %d, want %d: %s", method, target, r.status, status, buf)
	}
	return r, buf, nil
}

// fetch GETs a stream into buf, piece by piece, checks every byte, and returns when the first one came.
func (c *conn) fetch(target string, want stream, buf []byte) (firstByte time.Time, err error) {
	if err := c.send(http.MethodGet, target, "", nil); err != nil {
		return firstByte, err
	}
	r, err := c.receive(false)
	if err != nil {
		return firstByte, fmt.Errorf("GET %s: %w", target, err)
	}
	if r.status != http.StatusOK || r.length != want.Size {
		return firstByte, fmt.Errorf("GET %s: status %d with %d bytes, want 200 with %d", target, r.status, r.length, want.Size)
	}
	if _, err := c.r.Peek(1); err == nil {
		firstByte = time.Now()
	}
	if err := want.compare(c.r, buf); err != nil {
		return firstByte, fmt.Errorf("GET %s: %w", target, err)
	}
	return firstByte, nil
}

// withDigest is where an upload ends.
func withDigest(location, digest string) string {
	if strings.Contains(location, "?") {
		return location + "&digest=" + digest
	}
	return location + "?digest=" + digest
}
