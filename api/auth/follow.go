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

// lookInterval is how often it is looked whether a file changed, when clients come: so often that whoever makes a user and
// logs in next is known.
const lookInterval = 100 * time.Millisecond

// follower holds what is in a file, and takes it up anew when that changes. While it is gone, cannot be read, or is
// malformed, what was there before goes on to count: a file in the middle of being replaced locks nobody out, and lets
// nobody in.
type follower[T any] struct {
	path string
	read func(text []byte) (T, error)
	log  *zap.Logger
	held atomic.Pointer[T]
	// began and next say when to look again: next nanoseconds after began, whatever becomes of the clock meanwhile.
	began time.Time
	next  atomic.Int64

	mu   sync.Mutex
	seen os.FileInfo // nil if the file was not there, or could not be read
	lost bool        // it was there once, and that it is not or cannot be read was logged
	// unusable says what counts in the place of what was there before, while there is a file that cannot be used.
	unusable func(T) T
}

// follow reads a file.
func follow[T any](path string, read func([]byte) (T, error), log *zap.Logger) (*follower[T], error) {
	f := newFollower(path, read, log)
	return f, f.reload()
}

// followOptional reads a file that need not be there yet, or have a name; it is read as one that is empty then.
func followOptional[T any](path string, read func([]byte) (T, error), unusable func(T) T, log *zap.Logger) (*follower[T], error) {
	f := newFollower(path, read, log)
	f.unusable = unusable
	err := f.reload()
	if path == "" || errors.Is(err, os.ErrNotExist) {
		nothing, err := read(nil)
		f.held.Store(&nothing)
		return f, err
	}
	return f, err
}

func newFollower[T any](path string, read func([]byte) (T, error), log *zap.Logger) *follower[T] {
	f := &follower[T]{path: path, read: read, log: log, began: time.Now()}
	f.next.Store(int64(lookInterval))
	return f
}

// get returns what is in the file, as far as was known a moment ago.
func (f *follower[T]) get() T {
	now := int64(time.Since(f.began))
	if f.path == "" || now < f.next.Load() || !f.mu.TryLock() {
		return *f.held.Load()
	}
	defer f.mu.Unlock()
	f.next.Store(now + int64(lookInterval))
	switch changed, err := f.look(); {
	case err != nil:
		f.log.Warn("a file of users or keys cannot be used: what was in it before goes on to count", zap.Error(err))
		if f.unusable != nil && !errors.Is(err, os.ErrNotExist) {
			held := f.unusable(*f.held.Load())
			f.held.Store(&held)
		}
	case changed:
		f.log.Info("a file of users or keys changed", zap.String("file", f.path))
	}
	return *f.held.Load()
}

// look takes up the file if it changed. What is wrong is an error once, until it changes or can be read again.
func (f *follower[T]) look() (changed bool, err error) {
	info, err := os.Stat(f.path)
	switch {
	case errors.Is(err, os.ErrNotExist) && f.seen == nil && !f.lost: // not there yet
		return false, nil
	case err == nil && same(info, f.seen):
		return false, nil
	}
	text, err := os.ReadFile(f.path)
	if err != nil {
		known := f.lost
		f.seen, f.lost = nil, true
		if known {
			return false, nil
		}
		return false, fmt.Errorf("cannot read users or keys: %w", err)
	}
	f.seen, f.lost = info, false // a malformed file is not read again before it changes again
	return true, f.take(text)
}

// reload reads the file now. One that is malformed is looked at again by get, which says what counts until it can be used.
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
	text, err := os.ReadFile(f.path)
	if err != nil {
		return fmt.Errorf("cannot read users or keys: %w", err)
	}
	if err := f.take(text); err != nil {
		return err
	}
	f.seen, f.lost = info, false
	return nil
}

func (f *follower[T]) take(text []byte) error {
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
