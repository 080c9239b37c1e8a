package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// TestStopWaitsForNoSilentConnection has a server stop while a client is connected that never asked anything, and one
// that did and waits for its answer: that one gets it.
func TestStopWaitsForNoSilentConnection(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	asked, release := make(chan struct{}), make(chan struct{})
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(asked)
		<-release
		io.WriteString(w, "answer")
	})}
	closeSilent(server)
	go server.Serve(listener)
	conn, err := net.Dial("tcp", listener.Addr().String())
	must(t, err)
	defer conn.Close()
	answered := make(chan string)
	go func() {
		defer close(answered)
		resp, err := http.Get("http://" + listener.Addr().String())
		if err != nil {
			t.Error(err)
			return
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		answered <- string(body)
	}()
	<-asked // connections are accepted in turn: the silent one is known by now
	stopped, began := make(chan error), time.Now()
	go func() { stopped <- server.Shutdown(context.Background()) }()
	conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	if _, err := conn.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the silent connection: %v, want it to be closed", err)
	}
	close(release)
	if answer := <-answered; answer != "answer" {
		t.Errorf("answer %q", answer)
	}
	must(t, <-stopped)
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("to stop took %s", took)
	}
}
