package admin_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"airmirror/api/admin"
)

func TestSocketIsPrivate(t *testing.T) {
	dir := t.TempDir()
	listener, err := admin.Listen(dir)
	must(t, err)
	entries, err := os.ReadDir(dir)
	must(t, err)
	if len(entries) != 1 || entries[0].Name() != admin.SocketName {
		t.Errorf("the folder contains %v", entries)
	}
	info, err := os.Stat(filepath.Join(dir, admin.SocketName))
	must(t, err)
	if info.Mode() != os.ModeSocket|0o600 {
		t.Errorf("mode %s", info.Mode())
	}
	must(t, listener.Close())
	if _, err := os.Stat(filepath.Join(dir, admin.SocketName)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after Close: %v", err)
	}
}

// TestStaleSocketIsReplaced leaves the socket of a process that has died.
func TestStaleSocketIsReplaced(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: admin.SocketName})
	must(t, err)
	dead.SetUnlinkOnClose(false)
	must(t, dead.Close())
	must(t, os.Mkdir(".new."+admin.SocketName, 0o700)) // another process died while it created the socket
	if _, err := admin.Dial(t.Context(), "."); !errors.Is(err, admin.ErrNoServer) {
		t.Fatalf("connected to a stale socket: %v", err)
	}
	checkListen(t, ".")
}

func TestNoServer(t *testing.T) {
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o600))
	for _, data := range []string{dir, filepath.Join(dir, "absent"), filepath.Join(dir, "file")} {
		if _, err := admin.Dial(t.Context(), data); !errors.Is(err, admin.ErrNoServer) {
			t.Errorf("%s: %v", data, err)
		}
	}
}

func TestSocketInADeepFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("deep/", 50))
	must(t, os.MkdirAll(dir, 0o700))
	if _, err := admin.Dial(t.Context(), dir); !errors.Is(err, admin.ErrNoServer) {
		t.Errorf("without a server: %v", err)
	}
	checkListen(t, dir)
}

// checkListen starts a server in a folder and sends two requests to it at the same time.
func checkListen(t *testing.T, dir string) {
	t.Helper()
	listener, err := admin.Listen(dir)
	must(t, err)
	both := make(chan struct{})
	server := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		select {
		case both <- struct{}{}:
		case <-both:
		}
	})}
	go server.Serve(listener)
	defer server.Close()
	transport, err := admin.Dial(t.Context(), dir)
	must(t, err)
	defer transport.CloseIdleConnections()
	failed := make(chan error, 2)
	for range 2 {
		go func() {
			client := http.Client{Transport: transport}
			resp, err := client.Get("http://mirror/")
			if err == nil {
				resp.Body.Close()
			}
			failed <- err
		}()
	}
	must(t, errors.Join(<-failed, <-failed))
}

// TestAnswerBeforeTheEndOfTheRequest has a server that answers and closes the connection before it has read the whole request.
// The client receives the whole answer.
func TestAnswerBeforeTheEndOfTheRequest(t *testing.T) {
	dir := t.TempDir()
	listener, err := admin.Listen(dir)
	must(t, err)
	defer listener.Close()
	const events = 5000
	answer := strings.Repeat("{\"n\":1}\n", events)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
				fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", len(answer), answer)
			}
			conn.Close()
		}
	}()
	for range 20 {
		transport, err := admin.Dial(t.Context(), dir)
		must(t, err)
		received := 0
		err = admin.NewClient(transport).Call(t.Context(), "work", nil, endless{}, func(admin.Event) error { received++; return nil })
		if err != nil || received != events {
			t.Errorf("%d events, %v", received, err)
		}
	}
}

// TestJobClosesItsConnection checks that no request follows a job on its connection: the unread rest of a body could be parsed
// as one.
func TestJobClosesItsConnection(t *testing.T) {
	m, _ := open(t)
	opts := withJob(func(context.Context, json.RawMessage, io.Reader, admin.Report) error { return nil })
	client := http.Client{Transport: bySocket(t, admin.Local(admin.New(m, opts)))}
	for _, path := range []string{"calls/work", "calls/later", "streams/later"} {
		resp, err := client.Post("http://mirror/api/v1/"+path, "", strings.NewReader("null\nGET /api/v1/status HTTP/1.1\r\n\r\n"))
		must(t, err)
		resp.Body.Close()
		if !resp.Close {
			t.Errorf("%s keeps its connection open", path)
		}
	}
}
