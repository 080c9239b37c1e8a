package events

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"airmirror/mirror"
)

const segmentSuffix = ".jsonl"

// openQueue opens the queue of a lane in a folder, as an earlier process left it, or makes a new one. What is in
// it already is part of nobody's share.
func openQueue(dir string, lane lane, bound int64) (*queue, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	q := &queue{dir: dir, lane: lane, bound: bound, shares: mirror.NewShares[string](bound), more: make(chan struct{}, 1)}
	for _, entry := range entries {
		name, ok := strings.CutSuffix(entry.Name(), lane.suffix())
		number, err := strconv.ParseUint(name, 16, 64)
		if ok && err == nil && entry.Type().IsRegular() {
			q.segments = append(q.segments, segment{number: number})
		}
	}
	slices.SortFunc(q.segments, func(a, b segment) int { return cmp.Compare(a.number, b.number) })
	taken := q.position()
	for i := range q.segments {
		s := &q.segments[i]
		upTo := int64(0)
		if i == 0 {
			upTo = taken
		}
		before, err := s.count(q.path(s.number), upTo)
		if err != nil {
			return nil, fmt.Errorf("read the queue: %w", err)
		}
		if i == 0 {
			q.taken, q.takenOff = min(taken, s.size), before
		}
	}
	return q, nil
}

// position reads how much of the first file was taken off. What cannot be read is nothing: events come twice then.
func (q *queue) position() (taken int64) {
	text, err := os.ReadFile(filepath.Join(q.dir, q.lane.position()))
	number, at, ok := strings.Cut(strings.TrimSpace(string(text)), " ")
	if err != nil || !ok || len(q.segments) == 0 {
		return 0
	}
	n, err := strconv.ParseUint(number, 16, 64)
	if err != nil || n != q.segments[0].number {
		return 0
	}
	taken, err = strconv.ParseInt(at, 10, 64)
	if err != nil || taken < 0 {
		return 0
	}
	return taken
}

// count finds out how many lines are in a file, and how long they are; what is behind the last is no line, and nothing is
// put behind it. before is how many are in its first bytes.
func (s *segment) count(path string, upTo int64) (before int, err error) {
	file, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	buf := make([]byte, 64<<10)
	var read int64
	for {
		n, err := file.Read(buf)
		for i, c := range buf[:n] {
			if c != '\n' {
				continue
			}
			s.lines++
			s.size = read + int64(i) + 1
			if s.size <= upTo {
				before++
			}
		}
		read += int64(n)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return before, err
		}
	}
	return before, nil
}

// peek returns the oldest events, some of them: up to so many, and not many more bytes than so many. There are none if
// its queue is empty.
func (q *queue) peek(events int, size int64) (batch, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.segments) > 0 && q.taken >= q.segments[0].size {
		q.dropFirst()
	}
	if len(q.segments) == 0 {
		return batch{}, nil
	}
	first := q.segments[0]
	b := batch{lane: q.lane, segment: first.number, from: q.taken, to: q.taken}
	left := first.lines - q.takenOff
	file, err := os.Open(q.path(first.number))
	if errors.Is(err, fs.ErrNotExist) { // somebody has removed it
		b.to, b.unreadable = first.size, left
		return b, nil
	}
	if err != nil {
		return batch{}, err
	}
	defer file.Close()
	lines := bufio.NewReader(io.NewSectionReader(file, q.taken, first.size-q.taken))
	for len(b.events) < events && b.to-b.from < size {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) { // also where it was cut short by somebody
			b.to, b.unreadable = first.size, left-len(b.events)
			break
		}
		if err != nil {
			return batch{}, err
		}
		b.to += int64(len(line))
		if json.Valid(line) {
			b.events = append(b.events, line[:len(line)-1])
		} else {
			b.unreadable++
		}
	}
	return b, nil
}
