// Package filewatch keeps a value that is loaded from files up to date while the files change: users, keys,
// certificates. It looks at the files when the value is used, and needs no goroutine.
//
// While the files cannot be loaded, for example in the middle of their replacement, the previous value stays in effect:
// nobody is locked out and nobody is let in.
package filewatch

import (
	"errors"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// Options configure a [Value]. Files and Load are required.
type Options[T any] struct {
	// Files are the paths to watch. Empty paths are ignored.
	Files []string
	// Load reads the files. Its error says which file is wrong.
	Load func() (T, error)
	// Interval is the least time between two looks at the files.
	Interval time.Duration
	// Missing returns the value while a file does not exist and never did. Nil makes that an error of [New].
	Missing func() T
	// Unusable returns the value to use while the files exist and cannot be loaded. Nil keeps the previous value.
	Unusable func(previous T) T
	// Log receives a line when the value changes, and one when the files cannot be loaded. Nil discards them.
	Log *zap.Logger
}

// Value is the content of files. It is safe for concurrent use.
type Value[T any] struct {
	opts    Options[T]
	current atomic.Pointer[T]
	// Times are monotonic: the time since the start at which to look at the files again.
	started time.Time
	next    atomic.Int64

	mu     sync.Mutex
	stamps []fs.FileInfo // of the files as they were loaded; nil for files that did not exist
	// problem is the error of the last attempt to load the files, and failed their stamps; "" if they could be loaded.
	problem string
	failed  []fs.FileInfo
}

// New loads the files.
func New[T any](opts Options[T]) (*Value[T], error) {
	if opts.Log == nil {
		opts.Log = zap.NewNop()
	}
	v := &Value[T]{opts: opts, started: time.Now(), stamps: make([]fs.FileInfo, len(opts.Files))}
	v.next.Store(int64(opts.Interval))
	err := v.Reload()
	if opts.Missing != nil && errors.Is(err, fs.ErrNotExist) {
		missing := opts.Missing()
		v.current.Store(&missing)
		return v, nil
	}
	return v, err
}

// Get returns the value. It looks at the files first if that was longer ago than the interval, unless another call is
// doing so.
func (v *Value[T]) Get() T {
	now := int64(time.Since(v.started))
	if now < v.next.Load() || !v.mu.TryLock() {
		return *v.current.Load()
	}
	defer v.mu.Unlock()
	v.next.Store(now + int64(v.opts.Interval))
	stamps := v.stat()
	if !changed(stamps, v.stamps) && v.problem == "" {
		return *v.current.Load()
	}
	switch err := v.load(stamps); {
	case err == nil:
		v.opts.Log.Info("reloaded a changed file", zap.Strings("files", v.opts.Files))
	case err.Error() != v.problem || changed(stamps, v.failed):
		v.problem, v.failed = err.Error(), stamps
		v.opts.Log.Warn("a changed file cannot be used, so its previous content stays in effect", zap.Error(err))
		fallthrough
	default:
		if v.opts.Unusable != nil && !errors.Is(err, fs.ErrNotExist) {
			value := v.opts.Unusable(*v.current.Load())
			v.current.Store(&value)
		}
	}
	return *v.current.Load()
}

// Reload loads the files now, changed or not. After an error, the value is as before.
func (v *Value[T]) Reload() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.load(v.stat())
}

// load loads the files. stamps are from before, so that a change during the load is seen as one later.
func (v *Value[T]) load(stamps []fs.FileInfo) error {
	value, err := v.opts.Load()
	if err != nil {
		return err
	}
	v.current.Store(&value)
	v.stamps, v.problem = stamps, ""
	return nil
}

func (v *Value[T]) stat() []fs.FileInfo {
	stamps := make([]fs.FileInfo, len(v.opts.Files))
	for i, path := range v.opts.Files {
		if path == "" {
			continue
		}
		if info, err := os.Stat(path); err == nil {
			stamps[i] = info
		}
	}
	return stamps
}

// changed reports whether a file was created, removed, replaced or written to.
func changed(now, before []fs.FileInfo) bool {
	for i, info := range now {
		switch old := before[i]; {
		case info == nil || old == nil:
			if info != nil || old != nil {
				return true
			}
		case !os.SameFile(info, old) || !info.ModTime().Equal(old.ModTime()) || info.Size() != old.Size():
			return true
		}
	}
	return false
}
