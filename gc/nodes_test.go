package gc_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"airmirror/cache/lease"
	"airmirror/gc"
	"airmirror/mirror"
)

// bubbleServer is the server of a shared index in a bubble.
type bubbleServer struct{}

func (bubbleServer) ServerTime(context.Context) (time.Time, error) { return time.Now(), nil }

// leases returns the leases of a node.
func (s *testStore) leases(node string) mirror.Leases {
	return lease.New(s.index, bubbleServer{}, node)
}

// TestOneNodeCollectsBySchedule checks that two nodes collect as often as one, and both know the last result.
func TestOneNodeCollectsBySchedule(t *testing.T) {
	withStore(t, func(s *testStore) {
		runs := 0
		var nodes []*gc.Collector
		for _, node := range []string{"node-a", "node-b"} {
			nodes = append(nodes, s.collector(t, gc.CollectorOptions{
				Schedule: gc.Schedule{Interval: gc.Age(6 * hour)}, Leases: s.leases(node), OnCollected: func(gc.Result, error) { runs++ },
			}))
			stop := s.stop
			defer stop()
		}
		later(25 * time.Hour)
		synctest.Wait()
		if runs != 5 {
			s.Errorf("%d collections in 25 hours at intervals of 6, want 5", runs)
		}
		a, b := nodes[0].Status(), nodes[1].Status()
		if a.Last == nil || b.Last == nil || !a.Last.Began.Equal(b.Last.Began) || !a.Next.Equal(b.Next) {
			s.Errorf("the nodes have the states %+v and %+v", a, b)
		}
		if samples, err := nodes[0].Samples(s.Context()); err != nil || len(samples) != 2 {
			s.Errorf("samples of two days: %+v, %v", samples, err)
		}
	})
}

// TestAnotherNodeCollects checks what a command and the schedule of a node do while another node collects.
func TestAnotherNodeCollects(t *testing.T) {
	withStore(t, func(s *testStore) {
		s.push(team, "alone")
		later(2 * time.Hour)
		w := blockedStore{s, make(chan bool)}
		first, err := gc.NewCollector(s.Context(), w, s, gc.CollectorOptions{Leases: s.leases("node-a")})
		s.must(err)
		core, logs := observer.New(zap.InfoLevel)
		second, err := gc.NewCollector(s.Context(), s, s, gc.CollectorOptions{Leases: s.leases("node-b"), Log: zap.New(core)})
		s.must(err)
		errs := make(chan error)
		go func() { _, err := first.Collect(s.Context(), first.Options(), nil); errs <- err }()
		later(time.Minute)
		_, err = second.Collect(s.Context(), second.Options(), nil)
		if mirror.CodeOf(err) != mirror.CodeUnavailable || !strings.Contains(err.Error(), "node-a") {
			s.Errorf("got %v, want that node-a is collecting", err)
		}
		entries := logs.FilterMessage("another node is collecting").FilterField(zap.String("node", "node-a")).Len()
		if entries != 1 {
			s.Errorf("%d lines in the log name the node, want 1", entries)
		}
		close(w.release)
		s.must(<-errs)
		_, err = second.Collect(s.Context(), second.Options(), nil)
		s.must(err)
	})
}
