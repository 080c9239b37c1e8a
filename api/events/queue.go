package events

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"airmirror/mirror"
)

// A queue is a folder with events, a line of JSON each, oldest first, in files that are only appended to and that are
// named by their order. A file goes when all of it was taken off, or when the queue is full. How much of the oldest was
// taken off stands in the file position.
//
// Everything that was put is in the hands of the system, and outlives the process; sync brings it to the disk. What
// a crash has left half written, and lines that are no events any more, are passed over. It is safe for concurrent use.
type queue struct {
	dir  string
	lane lane
	more chan struct{} // something was put, since somebody received from it

	mu       sync.Mutex
	bound    int64                  // in bytes
	shares   *mirror.Shares[string] // of it, by client
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
	of     map[string]int64 // how many bytes of it are of which client, given back when the file goes
}

// segments is how many files a full queue has: when it is full, as large a part of it goes.
const segments = 8

const positionName = "position"

func (q *queue) path(number uint64) string {
	return filepath.Join(q.dir, fmt.Sprintf("%016x%s", number, q.lane.suffix()))
}

// put appends events. It returns how many of them are left out, as their clients have no share left, and how many of the
// oldest had to go for the others.
func (q *queue) put(entries []entry) (refused, dropped int, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	var text []byte
	of := map[string]int64{}
	lines := 0
	for _, e := range entries {
		size := int64(len(e.line)) + 1
		if e.client != "" {
			if !q.shares.Take(e.client, size) {
				continue
			}
			of[e.client] += size
		}
		text = append(append(text, e.line...), '\n')
		lines++
	}
	if refused = len(entries) - lines; lines == 0 {
		return refused, 0, nil
	}
	if dropped, err = q.write(text, lines, of); err != nil {
		q.giveBack(of)
	}
	return refused, dropped, err
}

func (q *queue) giveBack(of map[string]int64) {
	for client, size := range of {
		q.shares.Give(client, size)
	}
}

// write appends lines to the last file.
func (q *queue) write(text []byte, lines int, of map[string]int64) (dropped int, err error) {
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
	last.lines += lines
	if last.of == nil {
		last.of = map[string]int64{}
	}
	for client, size := range of {
		last.of[client] += size
	}
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
	q.giveBack(q.segments[0].of)
	q.segments = append([]segment(nil), q.segments[1:]...)
	q.taken, q.takenOff = 0, 0
}

// batch are the oldest events of a queue.
type batch struct {
	lane       lane
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
	temporary := filepath.Join(q.dir, q.lane.position()+".new")
	text := strconv.FormatUint(b.segment, 16) + " " + strconv.FormatInt(b.to, 10) + "\n"
	if err := os.WriteFile(temporary, []byte(text), 0o600); err != nil {
		return errors.Join(err, os.Remove(temporary))
	}
	return os.Rename(temporary, filepath.Join(q.dir, q.lane.position()))
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
	q.shares.SetMost(bound)
}

func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.endTail()
}
