package objects

import (
	"encoding"
	"errors"
	"fmt"

	"airmirror/mirror"
)

// Suspend implements [backend.Writer]. If it cannot save the state, the upload keeps its last saved state.
func (w *writer) Suspend() error {
	if w.closed {
		return errClosed
	}
	if w.saved && w.Size() == w.row.size() && w.row.resumable() {
		w.close(true)
		return nil
	}
	if _, err := w.save(false); err != nil {
		err = fmt.Errorf("suspend blob upload %s: %w", w.id, err)
		if !w.saved || !w.row.resumable() {
			return errors.Join(err, w.discard())
		}
		w.close(false)
		return err
	}
	w.close(true)
	return nil
}

// SuspendPartial implements [backend.Writer].
func (w *writer) SuspendPartial() (mirror.PartialBlob, error) {
	if w.closed {
		return mirror.PartialBlob{}, errClosed
	}
	state, err := w.save(true)
	if err != nil {
		return mirror.PartialBlob{}, errors.Join(fmt.Errorf("suspend partial blob %s: %w", w.id, err), w.discard())
	}
	w.close(true)
	return mirror.PartialBlob{ID: w.id, Algorithm: w.algorithm, Size: state.Size, Hash: state.Hash}, nil
}

// save stores the bytes that are not parts, and writes the row with the new state. A partial blob keeps its earlier states:
// the caller may not have recorded the new one when its process dies.
func (w *writer) save(partial bool) (uploadState, error) {
	state, own, err := w.state()
	if err != nil {
		return state, err
	}
	row := w.row
	row.Algorithm, row.Label, row.Partial = w.algorithm, []byte(w.label), partial
	row.States, row.Parts = nil, nil
	var discarded []content
	for _, old := range w.row.States {
		switch {
		case partial && old.Size <= w.resumed && old.Size < state.Size:
			row.States = append(row.States, old)
		case old.Rest.Key != state.Rest.Key:
			discarded = append(discarded, old.Rest)
		}
	}
	row.States = append(row.States, state)
	for _, p := range w.parts {
		row.Parts = append(row.Parts, *p)
	}
	if err := w.saveRow(row, discarded); err != nil {
		if own {
			err = errors.Join(err, w.objects.noteUnsaved(w.id, state.Rest))
		}
		return state, err
	}
	return state, nil
}

// state sends what is not a part yet, and describes everything. own is set if it wrote the object of the rest.
func (w *writer) state() (state uploadState, own bool, err error) {
	state.Size = w.Size()
	if state.Hash, err = w.hash.(encoding.BinaryMarshaler).MarshalBinary(); err != nil {
		return state, false, err
	}
	rest := w.Size() - w.sent
	if w.row.Multipart.Key != "" && rest >= minPart {
		if err := w.sendPart(rest); err != nil {
			return state, false, err
		}
		rest = 0
	}
	if err := w.awaitParts(); err != nil {
		return state, false, err
	}
	state.Parts, state.RestSize = len(w.parts), rest
	switch {
	case rest == 0:
	case w.rest != nil:
		state.Rest, state.RestSize = w.rest.Rest, w.rest.RestSize
	case rest <= maxInline:
		state.Rest.Inline, err = w.readRest()
	default:
		state.Rest.Key, err = w.putRest()
		own = true
	}
	return state, own, err
}
