package proxy

import (
	"context"
	"errors"
	"io"

	"go.uber.org/zap"

	"airmirror/mirror"
)

// readOnlyNote is there as long as the mirror is read-only.
const readOnlyNote = "readOnly"

var errReadOnly = mirror.Errorf(mirror.CodeUnavailable, "the mirror is read-only for now: it serves what it holds, and takes in and deletes nothing; 'mirror mode read-only off' ends that")

// ReadOnly reports whether clients and upstreams change nothing of what is held.
func (m *Proxy) ReadOnly() bool { return m.readOnly.Load() }

// SetReadOnly has the mirror refuse pushes and deletions with [mirror.CodeUnavailable] and keep nothing of what comes from
// upstreams, which clients get all the same; or ends that. It is remembered for the next run, whatever the [mirror.Mode]. With an
// error it is switched all the same. Transfers under way are still kept, and what the mirror notes of its own, as wants.
func (m *Proxy) SetReadOnly(ctx context.Context, on bool) error {
	m.readOnly.Store(on)
	var note []byte
	if on {
		note = []byte("on")
	}
	m.log.Info("read-only changed", zap.Bool("readOnly", on))
	if err := m.store.SetState(ctx, settingNotes, map[string][]byte{readOnlyNote: note}); err != nil {
		return mirror.Errorf(mirror.CodeUnknown, "read-only is %t now, but that cannot be remembered for the next start: %w", on, err)
	}
	m.retryChores()
	return nil
}

// loadReadOnly takes up what an earlier run was told.
func (m *Proxy) loadReadOnly(ctx context.Context) error {
	notes, err := m.store.State(ctx, settingNotes)
	m.readOnly.Store(len(notes[readOnlyNote]) > 0)
	return err
}

// Writable returns why nothing is taken in now: a [mirror.CodeUnavailable] if the mirror is read-only, what [Options.CheckCapacity] says if
// the disk is full, or nil.
func (m *Proxy) Writable() error { return m.room(0) }

// mayChange returns why nothing that is held may be changed, or nil.
func (m *Proxy) mayChange() error {
	if m.readOnly.Load() {
		return errReadOnly
	}
	return nil
}

// room returns why so many bytes are not to be taken in, or nil.
func (m *Proxy) room(need int64) error {
	if err := m.mayChange(); err != nil {
		return err
	}
	return m.opts.CheckCapacity(need)
}

// roomEvery is after how many bytes it is looked again whether there is room for more.
const roomEvery = 64 << 20

// roomReader reads as long as there is room for it.
type roomReader struct {
	io.Reader
	room func(need int64) error
	left int64 // to be read until it is looked again
}

// Read implements [io.Reader].
func (r *roomReader) Read(p []byte) (int, error) {
	if r.left <= 0 {
		if err := r.room(int64(len(p))); err != nil {
			return 0, err
		}
		r.left = roomEvery
	}
	n, err := r.Reader.Read(p)
	r.left -= int64(n)
	return n, err
}

// logUnkept says that something passes through that is not kept: that is a fault, unless it was asked for.
func (m *Proxy) logUnkept(what string, err error, fields ...zap.Field) {
	log := m.log.With(append(fields, zap.Error(err))...)
	if errors.Is(err, errReadOnly) {
		log.Info(what)
		return
	}
	log.Error(what)
}
