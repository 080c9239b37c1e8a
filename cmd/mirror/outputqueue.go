package main

import (
	"io"
	"os"
	"sync"
)

// outputQueue writes in the background, so that a command goes on while nobody reads its output: a pager shows one screen and
// waits, and the server would take a command that reads nothing meanwhile for one that has stalled. What waits is kept in
// memory; lists are small. It is safe for concurrent use.
type outputQueue struct {
	to io.Writer

	mu      sync.Mutex
	changed *sync.Cond
	waiting []byte
	writing bool
	err     error // of an earlier write
}

func newOutputQueue(to io.Writer) *outputQueue {
	q := &outputQueue{to: to}
	q.changed = sync.NewCond(&q.mu)
	return q
}

// Write implements [io.Writer]. It returns the error of an earlier write.
func (q *outputQueue) Write(p []byte) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.err != nil {
		return 0, q.err
	}
	q.waiting = append(q.waiting, p...)
	if !q.writing {
		q.writing = true
		go q.run()
	}
	return len(p), nil
}

// run writes until nothing waits.
func (q *outputQueue) run() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.waiting) > 0 && q.err == nil {
		next := q.waiting
		q.waiting = nil
		q.mu.Unlock()
		_, err := q.to.Write(next)
		q.mu.Lock()
		q.err = err
	}
	q.writing = false
	q.changed.Broadcast()
}

// flush waits until everything is written, and returns the error of writing.
func (q *outputQueue) flush() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.writing {
		q.changed.Wait()
	}
	return q.err
}

// isPipe reports whether a file is a pipe, whose reader may wait.
func isPipe(file *os.File) bool {
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeNamedPipe != 0
}
