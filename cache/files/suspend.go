package files

import (
	"errors"
	"fmt"
)

// Suspend implements [backend.Writer]. If the state cannot be saved, the blob is kept as it was last suspended or begun,
// unless the disk failed while it overwrote that: then it is not known any more.
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

// drop ends the writer and removes what it wrote, but for a part that was kept before.
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
	return remove(w.files.incoming(w.id + stateSuffix))
}

// end lets go of what the writer holds. What was worth an error was fsynced before, so that of Close says nothing.
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
