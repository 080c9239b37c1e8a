package files

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"sync"
)

const (
	statesFile = "states"
	// slotSize is enough for the longest name of a repository and the state of any hash.
	slotSize = 2048
)

// states are the saved states of blobs that can be resumed, in slots of one file. A file for each would be created and
// deleted for each upload, which takes longer than storing a small blob. Only [states.load] reads the file; the states are
// also in memory. One goroutine at a time may use an id.
type states struct {
	path string

	mu    sync.Mutex // guards the fields below
	file  *os.File   // opened by the first write
	saved map[string]savedState
	free  []int64 // slots that were used before
	slots int64   // number of slots in the file
}

type savedState struct {
	*state // must not be changed
	slot   int64
}

// load reads the file. It drops states for which keep reports false, and those that power loss left partly overwritten.
func (s *states) load(keep func(*state) (bool, error)) error {
	s.saved = make(map[string]savedState)
	data, err := os.ReadFile(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for record := range slices.Chunk(data, slotSize) {
		slot := s.slots
		s.slots++
		state, err := decodeState(record)
		if kept := false; err == nil {
			if kept, err = keep(state); err != nil {
				return err
			}
			if kept {
				s.saved[state.ID] = savedState{state, slot}
				continue
			}
		}
		s.free = append(s.free, slot)
	}
	if len(s.saved) > 0 || s.slots == 0 {
		return nil
	}
	s.free, s.slots = nil, 0
	return os.Truncate(s.path, 0)
}

// get returns the saved state of a blob; nil if there is none.
func (s *states) get(id string) *state {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.saved[id].state
}

// ids returns the blobs with a saved state.
func (s *states) ids() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.saved))
}

// save saves a state with one write. It replaces the state that the blob had.
func (s *states) save(state *state) error {
	record, err := state.encode()
	if err != nil {
		return err
	}
	if len(record) > slotSize {
		return fmt.Errorf("it has %d bytes, more than %d", len(record), slotSize)
	}
	file, slot, err := s.take(state.ID)
	if err != nil {
		return err
	}
	_, err = file.WriteAt(record, slot*slotSize)
	s.mu.Lock()
	defer s.mu.Unlock()
	_, found := s.saved[state.ID]
	switch {
	case err == nil:
		s.saved[state.ID] = savedState{state, slot}
	case !found:
		s.free = append(s.free, slot)
	}
	return err
}

// take returns the slot of a blob: the one that it has, or a free one.
func (s *states) take(id string) (file *os.File, slot int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file == nil {
		if s.file, err = os.OpenFile(s.path, os.O_WRONLY|os.O_CREATE, fileMode); err != nil {
			return nil, 0, err
		}
	}
	if saved, found := s.saved[id]; found {
		return s.file, saved.slot, nil
	}
	if last := len(s.free) - 1; last >= 0 {
		slot, s.free = s.free[last], s.free[:last]
		return s.file, slot, nil
	}
	s.slots++
	return s.file, s.slots - 1, nil
}

// remove deletes the state of a blob. A blob without a state is no error.
func (s *states) remove(id string) error {
	s.mu.Lock()
	saved, found := s.saved[id]
	s.mu.Unlock()
	if !found {
		return nil
	}
	file, slot, err := s.take(id)
	if err == nil {
		_, err = file.WriteAt(make([]byte, recordHeader), slot*slotSize)
	}
	if err != nil {
		return fmt.Errorf("delete the state of blob upload %s: %w", id, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.saved, id)
	s.free = append(s.free, saved.slot)
	return nil
}

// hasContent reports whether the content that a state describes may be there.
func (f *Files) hasContent(s *state) (bool, error) {
	if s.Offset == 0 {
		return true, nil
	}
	_, err := os.Lstat(f.incoming(s.ID))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
