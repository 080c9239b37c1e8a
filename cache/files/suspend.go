package files

import (
	"errors"
	"fmt"
)

// Suspend implements [backend.Writer]. If it cannot save the state, this process continues the upload from its last saved
// state; a later process may not know the upload if the disk failed while Suspend overwrote that state.
func (w *writer) Suspend() error {
	if w.closed {
		return errClosed
	}
	err := w.saveState()
	if err != nil && !w.saved {
		err = errors.Join(err, w.discard())
	}
	w.close()
	if err != nil {
		return fmt.Errorf("suspend blob upload %s: %w", w.id, err)
	}
	return nil
}

// Abort implements [backend.Writer].
func (w *writer) Abort() error {
	if w.closed {
		return nil
	}
	if err := w.discard(); err != nil {
		return fmt.Errorf("abort blob upload %s: %w", w.id, err)
	}
	return nil
}

// discard closes the writer and deletes what it wrote, but not a partial blob that it resumed.
func (w *writer) discard() error {
	w.close()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.path == "" {
		return nil
	}
	if w.partialSize > 0 {
		return w.truncatePartial()
	}
	err := remove(w.path)
	w.path = ""
	return errors.Join(err, w.removeState())
}

func (w *writer) removeState() error {
	if !w.saved {
		return nil
	}
	w.saved, w.current = false, false
	return w.files.states.remove(w.id)
}

// close releases the resources of the writer. It ignores the error of closing the file: data that must survive was
// fsynced before.
func (w *writer) close() {
	if w.closed {
		return
	}
	w.hasher.flush()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	if w.file != nil {
		w.file.Close()
	}
}
