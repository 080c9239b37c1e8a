package events

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

// A queue is a folder with events, a line of JSON each, oldest first, in files that are only appended to and that are
// named by their order. A file goes when all of it was taken off, or when the queue is full. How much of the oldest was
// taken off stands in the file position.
//
// Everything that was put is in the hands of the system, and outlives the process; sync brings it to the disk. What
// a crash has left half written, and lines that are no events any more, are passed over. It is safe for concurrent use.
type queue struct {
	dir  string
	more chan struct{} // something was put, since somebody received from it

	mu       sync.Mutex
	bound    int64 // in bytes
	segments []segment
	taken    int64    // bytes of the first segment that were taken off,
	takenOff int      // and how many lines that is
	tail     *os.File // the last segment, open to be appended to; nil if the next line begins a new one
	dirty    bool     // something was put since the last sync
}

// segment is one of the files of a queue.
type segment struct {
	number uint64 // they are in the order of these
	size   int64
	lines  int
}

// segments is how many files a full queue has: when it is full, as large a part of it goes.
const segments = 8

const positionName = "position"

func (q *queue) path(number uint64) string {
	return filepath.Join(q.dir, fmt.Sprintf("%016x%s", number, segmentSuffix))
}

// put appends events, each of them JSON without a line break. It returns how many had to go for that.
func (q *queue) put(lines [][]byte) (dropped int, err error) {
	text := append(bytes.Join(lines, []byte{'\n'}), '\n')
	q.mu.Lock()
	defer q.mu.Unlock()
	dropped = q.makeRoom(int64(len(text)))
	if err := q.openTail(); err != nil {
		return dropped, err
	}
	last := &q.segments[len(q.segments)-1]
	if _, err := q.tail.Write(text); err != nil { // what was written of it is no line
		if err := q.tail.Truncate(last.size); err != nil {
			q.endTail()
		}
		return dropped, err
	}
	last.size += int64(len(text))
	last.lines += len(lines)
	q.dirty = true
	select {
	case q.more <- struct{}{}:
	default:
	}
	return dropped, nil
}

// makeRoom drops the oldest files until there is room for so many bytes.
func (q *queue) makeRoom(need int64) (dropped int) {
	for len(q.segments) > 0 && q.bytes()+need > q.bound {
		dropped += q.segments[0].lines - q.takenOff
		q.dropFirst()
	}
	return dropped
}

func (q *queue) bytes() (n int64) {
	for _, s := range q.segments {
		n += s.size
	}
	return n - q.taken
}

// openTail has tail be a file with room in it.
func (q *queue) openTail() error {
	if q.tail != nil && q.segments[len(q.segments)-1].size < q.bound/segments {
		return nil
	}
	number := uint64(time.Now().UnixNano()) // never that of a file before, to which the position might belong
	if n := len(q.segments); n > 0 {
		number = max(number, q.segments[n-1].number+1)
	}
	file, err := os.OpenFile(q.path(number), os.O_CREATE|os.O_EXCL|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	q.endTail()
	q.tail, q.segments = file, append(q.segments, segment{number: number})
	return nil
}

// endTail has the next line begin a new file.
func (q *queue) endTail() {
	if q.tail != nil {
		_ = q.tail.Sync()
		_ = q.tail.Close()
		q.tail = nil
	}
}

// dropFirst takes the oldest file off. One that cannot be removed is found again after a restart.
func (q *queue) dropFirst() {
	if len(q.segments) == 1 {
		q.endTail()
	}
	_ = os.Remove(q.path(q.segments[0].number))
	q.segments = append([]segment(nil), q.segments[1:]...)
	q.taken, q.takenOff = 0, 0
}

// batch are the oldest events of a queue.
type batch struct {
	events     [][]byte
	unreadable int // lines between them that are no events
	segment    uint64
	from, to   int64
}

// done takes a batch off, unless it has gone already.
func (q *queue) done(b batch) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.segments) == 0 || q.segments[0].number != b.segment || q.taken != b.from {
		return nil
	}
	if b.to >= q.segments[0].size {
		q.dropFirst()
		return nil
	}
	q.taken, q.takenOff = b.to, q.takenOff+len(b.events)+b.unreadable
	temporary := filepath.Join(q.dir, positionName+".new")
	text := strconv.FormatUint(b.segment, 16) + " " + strconv.FormatInt(b.to, 10) + "\n"
	if err := os.WriteFile(temporary, []byte(text), 0o600); err != nil {
		return errors.Join(err, os.Remove(temporary))
	}
	return os.Rename(temporary, filepath.Join(q.dir, positionName))
}

// sync has everything that was put be on the disk.
func (q *queue) sync() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.dirty || q.tail == nil {
		return nil
	}
	q.dirty = false
	return q.tail.Sync()
}

// waiting returns how many events there are, and how many bytes they have.
func (q *queue) waiting() (events int, bytes int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, s := range q.segments {
		events += s.lines
	}
	return events - q.takenOff, q.bytes()
}

// setBound changes how large the queue may become, which counts when something is put the next time.
func (q *queue) setBound(bound int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.bound = bound
}

func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.endTail()
}
