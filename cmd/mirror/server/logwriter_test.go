package server

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// fakeOutput is an output that accepts, refuses or blocks writes.
type fakeOutput struct {
	mu    sync.Mutex
	text  bytes.Buffer
	limit int           // the number of bytes that a write may still have; negative for no limit
	gate  chan struct{} // if it is not nil, a write waits until it is closed
}

func (o *fakeOutput) Write(p []byte) (int, error) {
	if o.gate != nil {
		<-o.gate
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.limit >= 0 && len(p) > o.limit {
		n := o.limit
		o.text.Write(p[:n])
		o.limit = 0
		return n, errors.New("the disk is full")
	}
	o.limit = max(-1, o.limit-len(p))
	return o.text.Write(p)
}

func (o *fakeOutput) setLimit(n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.limit = n
}

func notice(lines uint64) []byte { return fmt.Appendf(nil, "%d dropped\n", lines) }

// TestLogWriterDropsWhatNobodyReads checks that writers do not wait for a blocked output, and that the log says how many
// lines it lacks, in their place.
func TestLogWriterDropsWhatNobodyReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &fakeOutput{limit: -1, gate: make(chan struct{})}
		w := newLogWriter(out, notice)
		line := []byte(strings.Repeat("x", 1023) + "\n")
		w.Write(line)
		synctest.Wait() // the first line is being written, and nothing else is queued
		const fit = maxPendingLog / 1024
		for range fit + 5 {
			w.Write(line)
		}
		if n := w.dropped(); n != 5 {
			t.Errorf("%d lines were dropped, want 5", n)
		}
		close(out.gate)
		synctest.Wait()
		w.Write([]byte("after\n"))
		w.close(time.Second)
		want := strings.Repeat(string(line), 1+fit) + "5 dropped\nafter\n"
		if out.text.String() != want {
			t.Errorf("the log has %d bytes, want %d; it ends with %q", out.text.Len(), len(want), out.text.Bytes()[max(0, out.text.Len()-40):])
		}
	})
}

// TestLogWriterGivesUpOnABlockedOutput checks that a server can end although nobody reads its log.
func TestLogWriterGivesUpOnABlockedOutput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &fakeOutput{limit: -1, gate: make(chan struct{})}
		w := newLogWriter(out, notice)
		w.Write([]byte("one\n"))
		started := time.Now()
		w.close(3 * time.Second)
		if waited := time.Since(started); waited != 3*time.Second {
			t.Errorf("it waited %s for the last lines, want 3s", waited)
		}
		close(out.gate)
		<-w.done
	})
}

// TestLogWriterCountsFailedLines checks that lines that cannot be written are counted, and that a torn line does not run
// into the next one.
func TestLogWriterCountsFailedLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &fakeOutput{limit: 6}
		w := newLogWriter(out, notice)
		for _, line := range []string{"one\n", "two\n", "three\n"} {
			w.Write([]byte(line))
			synctest.Wait()
		}
		if n := w.dropped(); n != 2 {
			t.Errorf("%d lines were dropped, want 2", n)
		}
		out.setLimit(-1)
		w.Write([]byte("four\n"))
		w.close(time.Second)
		if want := "one\ntw\nfour\n2 dropped\n"; out.text.String() != want {
			t.Errorf("the log is %q, want %q", &out.text, want)
		}
	})
}
