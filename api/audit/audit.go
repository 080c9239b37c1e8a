// Package audit writes the audit log: one JSON object per line for each change, export and backup, and for each refused
// attempt. It does not contain what the mirror does by itself, such as storing content from an upstream, and no
// secrets.
package audit

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	"go.uber.org/zap"

	"airmirror/mirror"
)

// Entry is one line of the log.
type Entry struct {
	Time    time.Time `json:"time"`
	Action  string    `json:"action"`            // push, push-blob, mount, delete, delete-blob, or the action of a command
	User    string    `json:"user,omitempty"`    // the user; for commands, the account on this machine
	Address string    `json:"address,omitempty"` // the client's address; "local" for commands
	Request string    `json:"request,omitempty"` // the request ID, as in other logs

	Repo   string        `json:"repository,omitempty"` // in the form of [mirror.Repo.String]
	Tags   []string      `json:"tags,omitempty"`
	Digest digest.Digest `json:"digest,omitempty"`
	Bytes  int64         `json:"bytes,omitempty"`
	From   string        `json:"from,omitempty"` // the repository that a blob was mounted from
	// Was is the digest that each tag had before, for tags that moved.
	Was map[string]digest.Digest `json:"was,omitempty"`
	// Detail is the request of a command.
	Detail json.RawMessage `json:"detail,omitempty"`

	Result mirror.Code `json:"result"` // "OK", or the error code
	Error  string      `json:"error,omitempty"`
}

// resultOK is the result of successful actions.
const resultOK mirror.Code = "OK"

// Log appends entries to a file. It is safe for concurrent use. A nil Log discards entries.
type Log struct {
	log *zap.Logger

	mu          sync.Mutex
	file        *os.File    // nil if there is no log file
	info        os.FileInfo // of file
	path        string
	partialLine bool // the last line is incomplete
}

// Open opens the log at path. If path is empty, entries are discarded.
func Open(path string, log *zap.Logger) (*Log, error) {
	l := &Log{log: log}
	use, err := l.Reopen(path)
	if err != nil {
		return nil, err
	}
	use()
	return l, nil
}

// Reopen opens the log at another path. It takes effect when use is called.
func (l *Log) Reopen(path string) (use func(), err error) {
	file, info, err := openFile(path)
	if err != nil {
		return nil, err
	}
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.path = path
		l.switchTo(file, info)
	}, nil
}

// openFile opens a log file. The result is nil if path is empty.
func openFile(path string) (*os.File, os.FileInfo, error) {
	if path == "" {
		return nil, nil, nil
	}
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, nil, fmt.Errorf("open the audit log: %w", err)
	}
	info, err := file.Stat()
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("open the audit log: %w", err), file.Close())
	}
	return file, info, nil
}

// switchTo continues the log in another file. The caller holds l.mu.
func (l *Log) switchTo(file *os.File, info os.FileInfo) {
	if l.file != nil {
		l.closeFile(l.file)
	}
	l.file, l.info, l.partialLine = file, info, false
}

// reopenIfMoved opens a new file if the current one was moved or removed, as by log rotation. If that fails, the log
// continues in the old one. The caller holds l.mu.
func (l *Log) reopenIfMoved() {
	if now, err := os.Stat(l.path); err == nil && os.SameFile(now, l.info) {
		return
	}
	file, info, err := openFile(l.path)
	if err != nil {
		l.log.Error("the audit log was moved, but a new file cannot be opened", zap.Error(err))
		return
	}
	l.switchTo(file, info)
}

// Close closes the log.
func (l *Log) Close() {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file != nil {
		l.closeFile(l.file)
		l.file = nil
	}
}

func (l *Log) closeFile(file *os.File) {
	if err := file.Close(); err != nil {
		l.log.Error("cannot close the audit log", zap.Error(err))
	}
}

// Write appends an entry with the result that err stands for. Errors of the log are logged and not returned: the action
// has already happened.
func (l *Log) Write(e Entry, err error) {
	if l == nil {
		return
	}
	e.Result = resultOK
	if err != nil {
		e.Result, e.Error = mirror.CodeOf(err), err.Error()
	}
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	e.Time = e.Time.UTC().Truncate(time.Millisecond)
	line, err := json.Marshal(e)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return
	}
	l.reopenIfMoved()
	if err == nil {
		err = l.writeLine(line)
	}
	if err != nil {
		l.log.Error("cannot write to the audit log", zap.String("action", e.Action), zap.Error(err))
	}
}

// writeLine appends a line. If the previous line is incomplete, because the disk was full, it starts a new one.
func (l *Log) writeLine(line []byte) error {
	line = append([]byte(mirror.Printable(string(line))), '\n')
	if l.partialLine {
		line = append([]byte{'\n'}, line...)
	}
	n, err := l.file.Write(line)
	if n > 0 {
		l.partialLine = line[n-1] != '\n'
	}
	return err
}
