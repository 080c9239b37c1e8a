package files

import (
	"errors"
	"fmt"
)

// Suspend implements [backend.Writer]. If the state cannot be saved, the blob is kept as it was last suspended or begun,
// unless the disk failed while it overwrote that: then it is not known any more.
func (w *writer) Suspend() error {
	if w.ended {
		return errEnded
	}
	err := w.saveState()
	if err != nil && !w.saved {
		err = errors.Join(err, w.drop())
	}
	w.end()
	if err != nil {
		return fmt.Errorf("suspend blob upload %s: %w", w.id, err)
	}
	return nil
}

// Abort implements [backend.Writer].
func (w *writer) Abort() error {
	if w.ended {
		return nil
	}
	if err := w.drop(); err != nil {
		return fmt.Errorf("abort blob upload %s: %w", w.id, err)
	}
	return nil
}

// drop ends the writer and removes what it wrote, but for a part that was kept before.
func (w *writer) drop() error {
	w.end()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.path == "" {
		return nil
	}
	if w.part > 0 {
		return w.cut()
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
func (w *writer) end() {
	if w.ended {
		return
	}
	w.hasher.settle()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = true
	if w.file != nil {
		w.file.Close()
	}
}
