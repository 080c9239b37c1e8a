package proxy

import (
	"context"
	"errors"
	"sync/atomic"

	"go.uber.org/zap"

	"airmirror/mirror"
)

// readOnlyKey is the key of a record that exists while the mirror is read-only.
const readOnlyKey = "readOnly"

var errReadOnly = mirror.Errorf(mirror.CodeUnavailable, "the mirror is read-only: nothing can be pushed, stored or deleted; 'mirror mode read-only off' ends that")

// writes says whether something may be stored or deleted now.
type writes struct {
	readOnly atomic.Bool
	store    mirror.StateStore
	capacity func(need int64) error // see [Options.CheckCapacity]
	log      *zap.Logger
}

// load reads the setting of an earlier run.
func (w *writes) load(ctx context.Context) error {
	state, err := w.store.State(ctx, settingState)
	w.readOnly.Store(len(state[readOnlyKey]) > 0)
	return err
}

// allowed returns nil unless the mirror is read-only.
func (w *writes) allowed() error {
	if w.readOnly.Load() {
		return errReadOnly
	}
	return nil
}

// logNotStored logs that something passes through without being stored: as an error, unless the mirror is read-only.
func (w *writes) logNotStored(message string, err error, fields ...zap.Field) {
	log := w.log.With(append(fields, zap.Error(err))...)
	if errors.Is(err, errReadOnly) {
		log.Info(message)
		return
	}
	log.Error(message)
}

// ReadOnly reports whether the mirror is read-only.
func (p *Proxy) ReadOnly() bool { return p.writes.readOnly.Load() }

// SetReadOnly makes the mirror read-only, or ends that, and stores the setting for the next start. While it is read-only,
// pushes and deletions fail with [mirror.CodeUnavailable], and content of upstreams is passed on without being stored.
// Transfers that are under way are still stored, and so is the state of the mirror itself, such as wants. With an error
// the setting has changed but is not stored. Other nodes of the store have the setting a second after it is stored.
func (p *Proxy) SetReadOnly(ctx context.Context, on bool) error {
	var record []byte
	if on {
		record = []byte("on")
	}
	err := p.settings.change(ctx, readOnlyKey, record, func() {
		p.writes.readOnly.Store(on)
		p.log.Info("read-only changed", zap.Bool("readOnly", on))
	})
	if err != nil {
		return mirror.Errorf(mirror.CodeUnknown, "read-only is %t now, but cannot be saved for the next start: %w", on, err)
	}
	p.backfill.retry()
	return nil
}
