// Package audit keeps a log of everything that somebody changed, or took out in a bundle or a backup, or tried to: one JSON
// object per line. What a mirror does by itself, as keeping what comes from an upstream, is not in it, and neither is any
// secret.
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

// Entry is one line.
type Entry struct {
	Time    time.Time `json:"time"`
	Action  string    `json:"action"`            // push, push-blob, mount, delete, or what a command has done
	User    string    `json:"user,omitempty"`    // who did it; for commands, the account of this machine
	Address string    `json:"address,omitempty"` // where the request came from: "local" for commands
	Request string    `json:"request,omitempty"` // the id of the request, as in the other logs

	Repo   string        `json:"repository,omitempty"` // as [mirror.Repo.String] writes it
	Tags   []string      `json:"tags,omitempty"`
	Digest digest.Digest `json:"digest,omitempty"`
	Bytes  int64         `json:"bytes,omitempty"`
	From   string        `json:"from,omitempty"` // the repository that a blob was mounted from
	// Was is what tags pointed at before that were moved.
	Was map[string]digest.Digest `json:"was,omitempty"`
	// Detail is what a command was asked for.
	Detail json.RawMessage `json:"detail,omitempty"`

	Result mirror.Code `json:"result"` // "OK", or the code of the error
	Error  string      `json:"error,omitempty"`
}

// ok is the result of what went well.
const resultOK mirror.Code = "OK"

// Log writes entries to a file, at the end of what is there. It is safe for concurrent use; a nil one writes nothing.
type Log struct {
	log *zap.Logger

	mu          sync.Mutex
	file        *os.File    // nil if there is none
	info        os.FileInfo // of file
	path        string
	partialLine bool // the last line has no end
}

// Open opens the log in a file; with no path it keeps none.
func Open(path string, log *zap.Logger) (*Log, error) {
	l := &Log{log: log}
	use, err := l.Reopen(path)
	if err != nil {
		return nil, err
	}
	use()
	return l, nil
}

// Reopen opens the file of a path. It is written to from when use is called.
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

// openFile opens the file of a path, none if that is empty.
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

// change goes on in another file. l.mu is held.
func (l *Log) switchTo(file *os.File, info os.FileInfo) {
	if l.file != nil {
		l.closeFile(l.file)
	}
	l.file, l.info, l.partialLine = file, info, false
}

// follow goes on in a new file if the one that was written to was moved away or removed: nobody would find in it what is
// written from now on. Where that cannot be, it is written there all the same. l.mu is held.
func (l *Log) reopenIfMoved() {
	if now, err := os.Stat(l.path); err == nil && os.SameFile(now, l.info) {
		return
	}
	file, info, err := openFile(l.path)
	if err != nil {
		l.log.Error("the audit log was moved away, and no new one can be begun", zap.Error(err))
		return
	}
	l.switchTo(file, info)
}

// Close ends the log.
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

// Write appends an entry, with the result that err stands for. That it cannot be written is logged: what it is about has
// happened.
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

// writeLine appends a line, on one of its own: a disk that was full may have cut off the last.
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
