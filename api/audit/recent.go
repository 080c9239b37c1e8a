package audit

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"

	"go.uber.org/zap"

	"airmirror/api/admin"
	"airmirror/mirror"
	"airmirror/mirror/durable"
)

const (
	// maxRecentLines is the number of lines at which the file is written again with those that are kept.
	maxRecentLines = 2 * admin.MaxChanges
	// maxRecentLine is the maximum size of an entry, in bytes. Of a larger one, only what identifies it is kept.
	maxRecentLine = 4 << 10
)

// leftOut are the actions of which Recent keeps nothing: they are a part of another one.
var leftOut = map[string]bool{"push-blob": true, "mount": true, "export-sent": true}

// Recent keeps the latest [admin.MaxChanges] entries of a log that changed or exported something, or are commands that failed,
// in memory and in a file. What is kept survives the end of the process; a power loss may take the last entries. Several nodes
// keep a file each. It is safe for concurrent use. A nil Recent keeps nothing.
type Recent struct {
	path string
	log  *zap.Logger

	mu     sync.Mutex
	kept   []Entry // the oldest first
	number int64   // of the last entry
	file   *file
	lines  int  // in the file
	failed bool // the last write failed
}

// OpenRecent reads the entries that an earlier process kept in a file, which is created if it does not exist. Without the file,
// it keeps them in memory only.
func OpenRecent(path string, log *zap.Logger) *Recent {
	r := &Recent{path: path, log: log}
	var err error
	if r.file, err = openFile(path); err == nil {
		err = r.read()
	}
	if err != nil {
		r.warn(err)
	}
	return r
}

// read reads the file. Lines that a crash has damaged are left out.
func (r *Recent) read() error {
	opened, err := os.Open(r.path)
	if err != nil {
		return err
	}
	defer opened.Close()
	for in := bufio.NewReader(opened); ; r.lines++ {
		line, err := in.ReadBytes('\n')
		var e Entry
		if json.Unmarshal(line, &e) == nil && e.Number > r.number {
			r.keep(e)
		}
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
	}
}

// keep adds an entry in memory. The caller holds r.mu.
func (r *Recent) keep(e Entry) {
	r.kept, r.number = append(r.kept, e), e.Number
	if extra := len(r.kept) - admin.MaxChanges; extra > 0 {
		r.kept = slices.Delete(r.kept, 0, extra)
	}
}

// Changes implements [admin.ChangeLog].
func (r *Recent) Changes() []admin.LoggedChange {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := slices.Clone(r.kept)
	slices.Reverse(all)
	return all
}

// Collected keeps a collection that the mirror started itself.
func (r *Recent) Collected(detail any, err error) {
	text, _ := json.Marshal(detail) // it is written without it otherwise
	r.add(completed(Entry{Action: "collect", Detail: text}, err))
}

// add keeps an entry if it is one of those that are kept.
func (r *Recent) add(e Entry) {
	if r == nil || !isKept(e) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	e.Number = r.number + 1
	line, err := encode(e)
	if err != nil || len(line) > maxRecentLine {
		e = admin.LoggedChange{
			Time: e.Time, Number: e.Number, Action: e.Action, User: e.User, Address: e.Address, Request: e.Request, Repo: e.Repo, Digest: e.Digest,
			Bytes: e.Bytes, Tags: e.Tags[:min(len(e.Tags), 8)], Result: e.Result, Error: e.Error[:min(len(e.Error), maxRecentLine/2)],
		}
		if line, err = encode(e); err != nil {
			return // cannot happen: the fields are texts and numbers
		}
	}
	r.keep(e)
	r.write(line)
}

// isKept reports whether an entry is kept: not attempts that a missing right prevented, and not what a dry run would do.
func isKept(e Entry) bool {
	var detail struct {
		DryRun bool `json:"dryRun"`
	}
	_ = json.Unmarshal(e.Detail, &detail) // other forms have no such field
	denied := e.Result == mirror.CodeDenied || e.Result == mirror.CodeUnauthorized
	return !leftOut[e.Action] && !denied && !detail.DryRun && (e.Result == resultOK || e.Repo == "")
}

// write appends a line to the file, or writes the file again if it is long. An error is logged once: the change has already
// happened. The caller holds r.mu.
func (r *Recent) write(line []byte) {
	var err error
	switch {
	case r.file == nil:
		return
	case r.lines >= maxRecentLines:
		err = r.shorten()
	default:
		if err = r.file.appendLines(line); err == nil {
			r.lines++
		}
	}
	if err != nil && !r.failed {
		r.warn(err)
	}
	r.failed = err != nil
}

func (r *Recent) warn(err error) {
	r.log.Error("cannot keep the latest changes in a file: a restart of the mirror forgets them", zap.Error(err))
}

// shorten writes the file again with the entries that are kept.
func (r *Recent) shorten() error {
	var text bytes.Buffer
	for _, e := range r.kept {
		if line, err := encode(e); err == nil {
			text.Write(line)
		}
	}
	if err := durable.Replace(r.path, text.Bytes(), func(*os.File) error { return nil }); err != nil {
		return err
	}
	next, err := openFile(r.path)
	if err != nil {
		return err
	}
	r.file.Close() // of the previous file, which has no name any more
	r.file, r.lines = next, len(r.kept)
	return nil
}

// Close closes the file.
func (r *Recent) Close() error {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.file == nil {
		return nil
	}
	f := r.file
	r.file = nil
	if err := f.Sync(); err != nil {
		f.Close()
		return fmt.Errorf("write the latest changes: %w", err)
	}
	return f.Close()
}
