package events_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/api/events"
	"airmirror/mirror"
)

// wanted queues the wants of a client for n tags of a repository.
func wanted(e *events.Events, client, path string, n int) {
	for i := range n {
		e.Want(mirror.Want{Ref: fmt.Sprintf("docker.io/%s:%s%d", path, path, i), Clients: []string{client}})
		if i%100 == 0 {
			synctest.Wait() // the writer keeps up
		}
	}
	synctest.Wait()
}

// TestPullsDoNotDisplaceChanges: while the endpoint is down, changes stay in the queue whatever clients request, and
// are delivered first.
func TestPullsDoNotDisplaceChanges(t *testing.T) {
	l := newListener(t)
	inTime(t, func(t *testing.T) {
		dir := t.TempDir()
		e := start(t, dir, nil, l.endpoint())
		configure(t, e, 64<<10, l.endpoint())
		wanted(e, "192.0.2.66", "flood", 500)
		e.Imported(t.Context(), "ann", "docker.io/library/tool", "imported", digest.FromString("x"))
		e.Removed(t.Context(), "ann", mirror.Ref{Repo: mirror.Repo{Host: "docker.io", Path: "library/tool"}, Tag: "removed"})
		for client := range 20 {
			wanted(e, fmt.Sprintf("192.0.2.%d", 100+client), "flood", 200)
		}
		e.Close()
		e = start(t, dir, online, l.endpoint()) // like a later process
		time.Sleep(time.Minute)
		got, _ := l.tags()
		if len(got) < 3 || !slices.Equal(got[:2], []string{"imported", "removed"}) {
			t.Errorf("of %d events the first are %s", len(got), got[:min(len(got), 5)])
		}
		if s := statusOf(t, e); s.Waiting != 0 || s.Bytes != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// TestClientHasAShareOfTheQueue: events of a client that causes many are dropped, and not those of other clients.
func TestClientHasAShareOfTheQueue(t *testing.T) {
	l := newListener(t)
	inTime(t, func(t *testing.T) {
		const most = 256 << 10
		e := start(t, t.TempDir(), nil, l.endpoint())
		configure(t, e, most, l.endpoint())
		wanted(e, "192.0.2.1", "before", 3)
		wanted(e, "192.0.2.66", "flood", 2000)
		wanted(e, "2001:db8::1", "after", 3)
		s := statusOf(t, e)
		if s.Dropped[events.Share] == 0 || s.Dropped[events.Full] != 0 || s.Bytes > most/2+8<<10 || s.Bytes < most/3 {
			t.Errorf("%+v", s)
		}
		e.Deliver(online)
		time.Sleep(time.Minute)
		got, _ := l.tags()
		for _, tag := range []string{"before0", "before2", "after0", "after2", "flood0"} {
			if !slices.Contains(got, tag) {
				t.Errorf("%s is lost", tag)
			}
		}
		wanted(e, "192.0.2.66", "again", 10)
		time.Sleep(time.Minute)
		if got, _ := l.tags(); !slices.Contains(got, "again9") {
			t.Error("what was delivered is still part of a share")
		}
	})
}
