package audit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
)

// file is an open log file. It contains whole lines: what a full disk leaves of a line is removed at once or, if that is
// not possible, completed before the next line.
type file struct {
	*os.File
	info os.FileInfo
	rest []byte // of a line that was written in part and could not be removed
}

// lineStart is the beginning of every line of the log.
const lineStart = `{"time":`

// maxTail is the maximum size of an incomplete last line.
const maxTail = 1 << 20

// openFile opens a log file, and repairs its last line if a crash left it incomplete. The result is nil if path is empty.
func openFile(path string) (*file, error) {
	if path == "" {
		return nil, nil
	}
	opened, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the audit log: %w", err)
	}
	f := &file{File: opened}
	if f.info, err = opened.Stat(); err != nil {
		return nil, errors.Join(fmt.Errorf("open the audit log: %w", err), opened.Close())
	}
	if f.info.Mode().IsRegular() {
		f.repair(path)
	}
	return f, nil
}

// repair removes an incomplete last line of this log. After other text without a line end, the log begins on a new line.
// A file that may only be written to is left as it is.
func (f *file) repair(path string) {
	size := f.info.Size()
	reader, err := os.Open(path)
	if err != nil {
		return
	}
	defer reader.Close()
	tail := make([]byte, min(size, maxTail))
	if _, err := reader.ReadAt(tail, size-int64(len(tail))); err != nil && err != io.EOF {
		return
	}
	last := tail[bytes.LastIndexByte(tail, '\n')+1:]
	switch {
	case len(last) == 0:
	case bytes.HasPrefix(last, []byte(lineStart)) && f.Truncate(size-int64(len(last))) == nil:
	default:
		f.rest = []byte{'\n'}
	}
}

// appendLines appends whole lines, or nothing.
func (f *file) appendLines(lines []byte) error {
	if len(f.rest) > 0 {
		n, err := f.Write(f.rest)
		if f.rest = f.rest[n:]; err != nil {
			return err
		}
	}
	n, err := f.Write(lines)
	if err != nil && n > 0 {
		f.cut(n, lines)
	}
	return err
}

// cut removes the first n bytes of lines from the end of the file.
func (f *file) cut(n int, lines []byte) {
	info, err := f.Stat()
	if err != nil || f.Truncate(info.Size()-int64(n)) != nil { // such as a file that can only grow (chattr +a)
		f.rest = lines[n:]
	}
}
