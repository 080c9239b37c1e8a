package events

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	bolt "go.etcd.io/bbolt"
)

// importFiles moves events into the queue from the files of an earlier version, and removes these files. Each file has
// one event per line, oldest first; the names sort in their order. The position file says how many bytes of the first
// file were delivered. A crash may leave an incomplete last line, and events that are imported twice. unreadable is the
// number of damaged events.
func (q *queue) importFiles(dir string) (unreadable int, err error) {
	suffix, positionFile := ".jsonl", "position"
	if q.lane == changes {
		suffix, positionFile = ".changes.jsonl", "position.changes"
	}
	files, err := os.ReadDir(dir) // sorted by name
	if err != nil {
		return 0, err
	}
	positionFile = filepath.Join(dir, positionFile)
	position, err := os.ReadFile(positionFile)
	if err != nil && !os.IsNotExist(err) {
		return 0, err
	}
	for _, file := range files {
		name, ok := strings.CutSuffix(file.Name(), suffix)
		if _, err := strconv.ParseUint(name, 16, 64); !ok || err != nil { // the changes have two suffixes
			continue
		}
		damaged, err := q.importFile(filepath.Join(dir, file.Name()), delivered(string(position), name))
		if err != nil {
			return unreadable, err
		}
		unreadable += damaged
	}
	if err == nil {
		err = os.Remove(positionFile)
	}
	if os.IsNotExist(err) {
		err = nil
	}
	return unreadable, err
}

// delivered returns how many bytes of a file were delivered, from the content of the position file: the number of the
// first file in hexadecimal and the bytes in decimal.
func delivered(position, name string) int64 {
	number, text, _ := strings.Cut(strings.TrimSpace(position), " ")
	file, err := strconv.ParseUint(name, 16, 64)
	first, errFirst := strconv.ParseUint(number, 16, 64)
	bytes, errBytes := strconv.ParseInt(text, 10, 64)
	if err != nil || errFirst != nil || errBytes != nil || first != file || bytes < 0 {
		return 0
	}
	return bytes
}

func (q *queue) importFile(path string, skip int64) (unreadable int, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	var entries []entry
	for line := range bytes.Lines(text[min(skip, int64(len(text))):]) {
		var event Event
		switch line, complete := bytes.CutSuffix(line, []byte{'\n'}); {
		case !complete: // cut off by a crash
		case json.Unmarshal(line, &event) != nil:
			unreadable++
		default:
			entries = append(entries, entry{event: line, client: event.sender()})
		}
	}
	err = q.db.Update(func(tx *bolt.Tx) error { return appendTo(tx.Bucket(q.lane.bucket()), entries) })
	if err != nil {
		return 0, err
	}
	for _, e := range entries {
		q.account(e.client, int64(len(e.event)))
	}
	return unreadable, os.Remove(path)
}
