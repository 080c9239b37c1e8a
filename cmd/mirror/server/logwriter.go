package server

import (
	"bytes"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxPendingLog limits the log lines that wait to be written, in bytes.
	maxPendingLog = 1 << 20
	// keptLogBuffer is the size up to which a buffer of log lines is used again.
	keptLogBuffer = 64 << 10
	// lastLinesTimeout is how long a server that ends waits until its last log lines are written.
	lastLinesTimeout = 2 * time.Second
)

// logWriter writes log lines to another writer in the background, so that no request waits for a full pipe, a slow
// terminal or a full disk. Lines that arrive while maxPendingLog bytes wait are dropped and counted, and so are lines
// that cannot be written. The log says how many lines it lacks as soon as it can be written again.
type logWriter struct {
	out io.Writer
	// notice returns the line that says how many lines were dropped; nil for none.
	notice func(lines uint64) []byte
	torn   bool // the last write ended within a line; used by run

	mu         sync.Mutex
	pending    []byte
	spare      []byte // an empty buffer
	unreported uint64 // dropped lines that no notice was written about
	closed     bool

	total atomic.Uint64 // dropped lines
	wake  chan struct{} // holds a token while there is something to write
	done  chan struct{} // closed when everything was written after close
}

// newLogWriter returns a logWriter. The caller closes it.
func newLogWriter(out io.Writer, notice func(lines uint64) []byte) *logWriter {
	w := &logWriter{out: out, notice: notice, wake: make(chan struct{}, 1), done: make(chan struct{})}
	go w.run()
	return w
}

// Write queues a line, or drops it. It never waits and never fails.
func (w *logWriter) Write(line []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed || len(w.pending)+len(line) > maxPendingLog {
		w.drop(1)
		return len(line), nil
	}
	w.pending = append(w.pending, line...)
	w.wakeWriter()
	return len(line), nil
}

// drop counts dropped lines. The caller holds w.mu.
func (w *logWriter) drop(lines uint64) {
	w.unreported += lines
	w.total.Add(lines)
}

// dropped returns the number of lines that were dropped since the start.
func (w *logWriter) dropped() uint64 { return w.total.Load() }

func (w *logWriter) wakeWriter() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// close waits until all lines are written, or until the timeout. Lines that arrive later are dropped.
func (w *logWriter) close(timeout time.Duration) {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.wakeWriter()
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-w.done:
	case <-timer.C:
	}
}

// run writes lines until the writer is closed and nothing is left.
func (w *logWriter) run() {
	defer close(w.done)
	for range w.wake {
		for {
			lines, dropped, closed := w.take()
			if len(lines) > 0 {
				w.write(lines, dropped)
				w.reuse(lines)
				continue
			}
			if closed {
				return
			}
			break
		}
	}
}

// take returns the lines that wait, and how many lines were dropped after them.
func (w *logWriter) take() (lines []byte, dropped uint64, closed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	lines, w.pending, w.spare = w.pending, w.spare, nil
	if len(lines) > 0 {
		dropped, w.unreported = w.unreported, 0
	}
	return lines, dropped, w.closed
}

// write writes lines, and a notice if lines were dropped after them.
func (w *logWriter) write(lines []byte, dropped uint64) {
	written := w.writeOut(lines)
	lost := uint64(bytes.Count(lines[written:], []byte{'\n'}))
	if lost == 0 && dropped > 0 && w.notice != nil {
		if notice := w.notice(dropped); w.writeOut(notice) == len(notice) {
			return
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.drop(lost)
	w.unreported += dropped // the next notice includes them
}

// writeOut writes text after what an earlier write left of a line. It returns how much of text was written.
func (w *logWriter) writeOut(text []byte) int {
	if w.torn {
		if n, _ := w.out.Write([]byte{'\n'}); n == 0 {
			return 0
		}
		w.torn = false
	}
	n, _ := w.out.Write(text) // the lines of a failed write are counted
	w.torn = n > 0 && text[n-1] != '\n'
	return n
}

// reuse keeps a buffer that was written.
func (w *logWriter) reuse(buffer []byte) {
	if cap(buffer) > keptLogBuffer {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.spare = buffer[:0]
}
