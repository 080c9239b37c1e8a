package events_test

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"airmirror/api/events"
)

// TestQueuesOutliveTheProcess: what was not delivered by one is by the next, in order, and what was is not again.
func TestQueuesOutliveTheProcess(t *testing.T) {
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
		e.Close() // nobody has waited for the writer
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
			t.Errorf("of an empty queue there is %v, %v", entries, err)
		}
	})
}

// TestWhatACrashLeavesIsTakenUp: what was written is delivered, half a line and what a disk made of a line are not, and
// nothing is in the way of what comes.
func TestWhatACrashLeavesIsTakenUp(t *testing.T) {
	l := newListener(t)
	inTime(t, func(t *testing.T) {
		dir, crashed := t.TempDir(), t.TempDir()
		e := start(t, dir, nil, l.endpoint())
		happen(e, 0, 4)
		synctest.Wait() // the writer has written, and nothing more is done
		must(t, os.CopyFS(crashed, os.DirFS(dir)))
		files, err := filepath.Glob(filepath.Join(crashed, "listener", "*.jsonl"))
		must(t, err)
		text, err := os.ReadFile(files[0])
		must(t, err)
		lines := bytes.SplitAfter(text, []byte("\n"))
		lines[1] = append(make([]byte, 100), '\n')
		lines = append(lines, lines[0][:20])
		must(t, os.WriteFile(files[0], bytes.Join(lines, nil), 0o600))
		must(t, os.WriteFile(filepath.Join(crashed, "listener", "position"), []byte("nonsense"), 0o600))
		e = start(t, crashed, nil, l.endpoint())
		happen(e, 4, 5)
		synctest.Wait()
		e.Deliver(online)
		synctest.Wait()
		if got, _ := l.tags(); strings.Join(got, " ") != "v0 v2 v3 v4" {
			t.Errorf("there came %s", got)
		}
		if s := statusOf(t, e); s.Waiting != 0 || s.Dropped[events.Unreadable] != 1 || s.Delivered != 4 {
			t.Errorf("%+v", s)
		}
	})
}

// TestAQueueIsBounded: when it is full the oldest go and are counted; the others come, in order.
func TestAQueueIsBounded(t *testing.T) {
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
		var onDisk int64
		files, err := os.ReadDir(filepath.Join(dir, "listener"))
		must(t, err)
		for _, file := range files {
			info, err := file.Info()
			must(t, err)
			onDisk += info.Size()
		}
		s := statusOf(t, e)
		lost := int(s.Dropped[events.Full])
		if onDisk > small || s.Bytes != onDisk || onDisk < small/2 || lost == 0 || s.Waiting+lost != all || s.Queued != all {
			t.Errorf("%d bytes are on the disk, %+v", onDisk, s)
		}
		e.Deliver(online)
		synctest.Wait()
		l.has(t, lost, all)
	})
}

// TestAQueueGoesOnWhenItsFilesAreGone, or its disk takes nothing.
func TestAQueueGoesOnWhenItsFilesAreGone(t *testing.T) {
	l := newListener(t)
	inTime(t, func(t *testing.T) {
		dir := t.TempDir()
		e := start(t, dir, nil, l.endpoint())
		happen(e, 0, 3)
		synctest.Wait()
		must(t, os.RemoveAll(filepath.Join(dir, "listener")))
		e.Deliver(online)
		synctest.Wait()
		happen(e, 3, 5)
		synctest.Wait()
		if s := statusOf(t, e); s.Dropped[events.Unreadable] != 3 || s.Dropped[events.Disk] != 2 || s.Waiting != 0 {
			t.Errorf("%+v", s)
		}
		must(t, os.Mkdir(filepath.Join(dir, "listener"), 0o700))
		happen(e, 5, 7)
		synctest.Wait()
		l.has(t, 5, 7)
	})
}

// TestNobodyWaitsForTheDisk: while it is stuck, what happens is kept in memory up to a point, and from there on lost and
// counted.
func TestNobodyWaitsForTheDisk(t *testing.T) {
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
