package auth

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// lookInterval is how often it is looked whether a file changed, when clients come.
const lookInterval = time.Second

// follower holds what is in a file, and takes it up anew when that changes. While it cannot be read, or is malformed, what
// was there before goes on to count: a file in the middle of being replaced locks nobody out, and lets nobody in.
type follower[T any] struct {
	path string
	read func(text []byte) (T, error)
	log  *zap.Logger
	held atomic.Pointer[T]
	next atomic.Int64 // when to look again, in nanoseconds of Unix

	mu   sync.Mutex
	seen os.FileInfo // nil if the file was not there
}

// follow reads a file. An optional one need not be there yet, or have a name; it is read as one that is empty then.
func follow[T any](path string, optional bool, read func([]byte) (T, error), log *zap.Logger) (*follower[T], error) {
	f := &follower[T]{path: path, read: read, log: log}
	f.next.Store(time.Now().Add(lookInterval).UnixNano())
	err := f.reload()
	if optional && (path == "" || errors.Is(err, os.ErrNotExist)) {
		nothing, err := read(nil)
		f.held.Store(&nothing)
		return f, err
	}
	return f, err
}

// get returns what is in the file, as far as was known within the last second.
func (f *follower[T]) get() T {
	now := time.Now().UnixNano()
	if f.path == "" || now < f.next.Load() || !f.mu.TryLock() {
		return *f.held.Load()
	}
	defer f.mu.Unlock()
	f.next.Store(now + int64(lookInterval))
	info, err := os.Stat(f.path)
	if err != nil || same(info, f.seen) {
		if err != nil && f.seen != nil {
			f.log.Warn("a file of users or keys cannot be read any more: going on with what was in it", zap.Error(err))
			f.seen = nil
		}
		return *f.held.Load()
	}
	f.seen = info // a malformed file is not read again before it changes again
	if err := f.take(); err != nil {
		f.log.Warn("a file of users or keys changed and cannot be used: going on with what was in it", zap.Error(err))
	} else {
		f.log.Info("a file of users or keys changed", zap.String("file", f.path))
	}
	return *f.held.Load()
}

// reload reads the file now.
func (f *follower[T]) reload() error {
	if f.path == "" {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	info, err := os.Stat(f.path)
	if err != nil {
		return fmt.Errorf("cannot read users or keys: %w", err)
	}
	f.seen = info
	return f.take()
}

func (f *follower[T]) take() error {
	text, err := os.ReadFile(f.path)
	if err != nil {
		return fmt.Errorf("cannot read users or keys: %w", err)
	}
	held, err := f.read(text)
	if err != nil {
		return fmt.Errorf("%s: %w", f.path, err)
	}
	f.held.Store(&held)
	return nil
}

// same reports whether a file is the one that was seen.
func same(info, seen os.FileInfo) bool {
	return seen != nil && os.SameFile(info, seen) && info.ModTime().Equal(seen.ModTime()) && info.Size() == seen.Size()
}
