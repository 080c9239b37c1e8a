package events_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"airmirror/api/events"
)

// TestQueuesSurviveARestart: the next process delivers the remaining events in order, and no others.
func TestQueuesSurviveARestart(t *testing.T) {
	l := newListener(t)
	inTime(t, func(t *testing.T) {
		const many = 4000
		dir := t.TempDir()
		endpoint := l.endpoint()
		endpoint.Batch = 2
		l.answers(func(w http.ResponseWriter, _ *http.Request, got []events.Event) {
			if got[0].Target.Tag == tag(4) {
				w.WriteHeader(500)
			}
		})
		e := start(t, dir, nil, endpoint)
		happen(e, 0, 7)
		synctest.Wait()
		e.Deliver(online)
		time.Sleep(time.Minute)
		l.has(t, 0, 4)
		if s := statusOf(t, e); s.Waiting != 3 {
			t.Errorf("%+v", s)
		}
		happen(e, 7, many)
		e.Close() // without waiting for the writer
		l.answers(nil)
		endpoint.Batch = 0
		e = start(t, dir, nil, endpoint)
		if s := statusOf(t, e); s.Waiting != many-4 {
			t.Errorf("%+v", s)
		}
		e.Deliver(online)
		synctest.Wait()
		l.has(t, 0, many)
		e.Close()
		if entries, err := os.ReadDir(filepath.Join(dir, "listener")); err != nil || len(entries) > 1 {
			t.Errorf("the folder of an empty queue has %v, %v", entries, err)
		}
	})
}

// crash returns a copy of the queues of a running process, as kill -9 leaves them.
func crash(t *testing.T, dir string) string {
	t.Helper()
	crashed := t.TempDir()
	must(t, os.CopyFS(crashed, os.DirFS(dir)))
	return crashed
}

func TestQueuesSurviveACrash(t *testing.T) {
	l := newListener(t)
	inTime(t, func(t *testing.T) {
		dir := t.TempDir()
		e := start(t, dir, nil, l.endpoint())
		happen(e, 0, 4)
		synctest.Wait() // the writer has written, and has not been closed
		e = start(t, crash(t, dir), nil, l.endpoint())
		happen(e, 4, 5)
		synctest.Wait()
		e.Deliver(online)
		synctest.Wait()
		l.has(t, 0, 5)
		if s := statusOf(t, e); s.Waiting != 0 || s.Bytes != 0 || s.Delivered != 5 {
			t.Errorf("%+v", s)
		}
	})
}

// TestFilesOfEarlierVersionsAreImported imports a file that was delivered in part, a damaged line and an incomplete
// one.
func TestFilesOfEarlierVersionsAreImported(t *testing.T) {
	l := newListener(t)
	line := func(n int, action events.Action) string {
		text, err := json.Marshal(events.Event{ID: tag(n), Action: action, Target: events.Target{Tag: tag(n)}})
		must(t, err)
		return string(text) + "\n"
	}
	inTime(t, func(t *testing.T) {
		dir := t.TempDir()
		folder := filepath.Join(dir, "listener")
		must(t, os.Mkdir(folder, 0o700))
		write := func(name, text string) { must(t, os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600)) }
		done := line(0, events.Pull)
		write("0000000000000009.jsonl", done+line(4, events.Pull)+strings.Repeat("\x00", 100)+"\n"+line(5, events.Pull)+line(6, events.Pull)[:20])
		write("000000000000000a.jsonl", line(6, events.Pull))
		write("position", fmt.Sprintf("9 %d\n", len(done)))
		write("0000000000000009.changes.jsonl", line(0, events.Push)+line(1, events.Push)+line(2, events.Import))
		write("000000000000000a.changes.jsonl", line(3, events.Delete))
		write("position.changes", fmt.Sprintf("9 %d\n", len(line(0, events.Push))))
		e := start(t, dir, nil, l.endpoint())
		if s := statusOf(t, e); s.Waiting != 6 || s.Dropped[events.Unreadable] != 1 {
			t.Errorf("after the import: %+v", s)
		}
		files, err := os.ReadDir(folder)
		must(t, err)
		if len(files) != 1 {
			t.Errorf("the folder has %v, want the database alone", files)
		}
		happen(e, 7, 8)
		synctest.Wait()
		e.Deliver(online)
		synctest.Wait()
		l.has(t, 1, 8)
	})
}

// TestFullQueueDropsTheOldest checks that a full queue drops and counts the oldest events, and that the others are
// delivered in order.
func TestFullQueueDropsTheOldest(t *testing.T) {
	l := newListener(t)
	inTime(t, func(t *testing.T) {
		const small, all = 64 << 10, 3000
		dir := t.TempDir()
		e := start(t, dir, nil, l.endpoint())
		configure(t, e, small, l.endpoint())
		for n := range all {
			happen(e, n, n+1)
			if n%100 == 0 {
				synctest.Wait()
			}
		}
		synctest.Wait()
		s := statusOf(t, e)
		lost := int(s.Dropped[events.Full])
		if s.Bytes > small || s.Bytes < small/2 || lost == 0 || s.Waiting+lost != all || s.Queued != all {
			t.Errorf("%+v", s)
		}
		file, err := os.Stat(filepath.Join(dir, "listener", "queue.db"))
		must(t, err)
		if file.Size() > 8*small { // pages, and the pages that a transaction replaces
			t.Errorf("a queue of %d bytes takes %d on disk", s.Bytes, file.Size())
		}
		e.Deliver(online)
		synctest.Wait()
		l.has(t, lost, all)
	})
}

// TestQueueContinuesWithoutItsFolder: removing the folder neither loses events of the running process nor blocks them.
func TestQueueContinuesWithoutItsFolder(t *testing.T) {
	l := newListener(t)
	inTime(t, func(t *testing.T) {
		dir := t.TempDir()
		e := start(t, dir, nil, l.endpoint())
		happen(e, 0, 3)
		synctest.Wait()
		must(t, os.RemoveAll(filepath.Join(dir, "listener")))
		happen(e, 3, 5)
		e.Deliver(online)
		synctest.Wait()
		l.has(t, 0, 5)
	})
}

func TestEventsThatCannotBeWrittenAreCounted(t *testing.T) {
	l := newListener(t)
	inTime(t, func(t *testing.T) {
		e := start(t, t.TempDir(), nil, l.endpoint())
		happen(e, 0, 3)
		synctest.Wait()
		events.BreakDisk(e, "listener")
		happen(e, 3, 5)
		synctest.Wait()
		if s := statusOf(t, e); s.Dropped[events.Disk] != 2 || s.Waiting != 3 || s.Queued != 3 {
			t.Errorf("%+v", s)
		}
	})
}

// TestRequestsDoNotWaitForTheDisk: while the disk is blocked, a limited number of events is kept in memory; further
// ones are dropped and counted.
func TestRequestsDoNotWaitForTheDisk(t *testing.T) {
	l := newListener(t)
	e := start(t, t.TempDir(), nil, l.endpoint())
	release := events.Hold(e, "listener")
	const more = 1000
	happen(e, 0, events.InMemory+more)
	release()
	eventually(t, func() bool {
		s := statusOf(t, e)
		return s.Queued+s.Dropped[events.Overflow] == events.InMemory+more && s.Dropped[events.Overflow] >= more
	})
}
