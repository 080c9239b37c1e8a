package cache

import (
	"context"
	"errors"
	"testing"
	"time"
)

type fakeServer struct {
	at  time.Time
	err error
}

func (s *fakeServer) ServerTime(context.Context) (time.Time, error) { return s.at, s.err }

// TestServerClock checks that only the time of the server and the time that passes on the node matter.
func TestServerClock(t *testing.T) {
	server := &fakeServer{at: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)}
	elapsed := 70 * time.Hour
	c := &serverClock{source: server, elapsed: func() time.Duration { return elapsed }}
	sync := func() {
		t.Helper()
		if err := c.sync(t.Context()); (err == nil) != (server.err == nil) {
			t.Fatalf("sync: %v", err)
		}
	}
	want := func(at time.Time) {
		t.Helper()
		if got := c.now(); !got.Equal(at) {
			t.Errorf("now is %v, want %v", got, at)
		}
	}
	sync()
	start := server.at
	want(start)
	elapsed += 10 * time.Second
	want(start.Add(10 * time.Second))
	server.err = errors.New("the server is away")
	sync()
	elapsed += 10 * time.Second
	want(start.Add(20 * time.Second))
	server.at, server.err = start.Add(15*time.Second), nil // this node was too fast
	sync()
	want(start.Add(20 * time.Second))
	elapsed += 6 * time.Second
	want(start.Add(21 * time.Second))
}
