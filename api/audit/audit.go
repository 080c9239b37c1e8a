// Package audit writes the audit log: one JSON object per line for each change, export and backup, and for each refused
// attempt. It does not contain what the mirror does by itself, such as storing content from an upstream, and no
// secrets.
package audit

import (
	"encoding/json"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"airmirror/api/admin"
	"airmirror/mirror"
)

// Entry is one line of the log.
type Entry = admin.LoggedChange

// resultOK is the result of successful actions.
const resultOK mirror.Code = "OK"

// Log appends entries to a file. It is safe for concurrent use. A nil Log discards entries.
type Log struct {
	log *zap.Logger

	mu       sync.Mutex
	file     *file // nil if there is no log file
	path     string
	recent   *Recent       // keeps the entries as well; nil for none
	missing  int           // entries that could not be written since the last one that was
	failures atomic.Uint64 // entries that could not be written
}

// Open opens the log at path. If path is empty, entries are discarded. recent keeps the latest as well, unless it is nil.
func Open(path string, recent *Recent, log *zap.Logger) (*Log, error) {
	l := &Log{log: log, recent: recent}
	use, err := l.Reopen(path)
	if err != nil {
		return nil, err
	}
	use()
	return l, nil
}

// Reopen opens the log at another path. It takes effect when use is called.
func (l *Log) Reopen(path string) (use func(), err error) {
	file, err := openFile(path)
	if err != nil {
		return nil, err
	}
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.path = path
		l.switchTo(file)
	}, nil
}

// switchTo continues the log in another file. The caller holds l.mu.
func (l *Log) switchTo(file *file) {
	if l.file != nil {
		l.closeFile()
	}
	l.file = file
}

// reopenIfMoved opens a new file if the current one was moved or removed, as by log rotation. If that fails, the log
// continues in the old one. The caller holds l.mu.
func (l *Log) reopenIfMoved() {
	if now, err := os.Stat(l.path); err == nil && os.SameFile(now, l.file.info) {
		return
	}
	file, err := openFile(l.path)
	if err != nil {
		l.log.Error("the audit log was moved, but a new file cannot be opened", zap.Error(err))
		return
	}
	l.switchTo(file)
}

// Close closes the log.
func (l *Log) Close() {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file != nil {
		l.closeFile()
		l.file = nil
	}
}

func (l *Log) closeFile() {
	if err := l.file.Close(); err != nil {
		l.log.Error("cannot close the audit log", zap.Error(err))
	}
}

// Failures returns the number of entries that could not be written since the start.
func (l *Log) Failures() uint64 {
	if l == nil {
		return 0
	}
	return l.failures.Load()
}

// Write appends an entry with the result that err stands for. Errors of the log are logged and counted, and not returned:
// the action has already happened. The next entry that can be written is preceded by one of the action entries-missing.
func (l *Log) Write(e Entry, err error) {
	if l == nil {
		return
	}
	e = completed(e, err)
	l.recent.add(e)
	line, err := encode(e)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return
	}
	l.reopenIfMoved()
	if err == nil {
		err = l.file.appendLines(append(l.missingLine(), line...))
	}
	if err == nil {
		l.missing = 0
		return
	}
	l.missing++
	l.failures.Add(1)
	l.log.Error("cannot write to the audit log", zap.String("action", e.Action), zap.Int("missing", l.missing), zap.Error(err))
}

// missingLine returns the entry for the entries that could not be written; nil if there are none.
func (l *Log) missingLine() []byte {
	if l.missing == 0 {
		return nil
	}
	line, _ := encode(completed(Entry{Action: "entries-missing"}, // always has a JSON form
		mirror.Errorf(mirror.CodeUnknown, "%d entries before this one could not be written", l.missing)))
	return line
}

// completed returns an entry with its time, and the result that an error stands for.
func completed(e Entry, failure error) Entry {
	e.Result = resultOK
	if failure != nil {
		e.Result, e.Error = mirror.CodeOf(failure), failure.Error()
	}
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	e.Time = e.Time.UTC().Truncate(time.Millisecond)
	return e
}

// encode returns the line of an entry.
func encode(e Entry) ([]byte, error) {
	line, err := json.Marshal(e)
	return append([]byte(mirror.Printable(string(line))), '\n'), err
}
