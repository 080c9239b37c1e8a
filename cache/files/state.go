package files

import (
	"encoding"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

// errBadState reports a state that was partly overwritten when the machine lost power or the disk failed. No
// acknowledged data depends on such a state.
var errBadState = errors.New("its saved state is damaged")

// state is what resuming a suspended blob needs, besides its content.
type state struct {
	ID        string           `json:"id"`
	Algorithm digest.Algorithm `json:"algorithm"`
	Label     []byte           `json:"label"` // not a string: JSON would replace invalid UTF-8
	Offset    int64            `json:"offset"`
	Hash      []byte           `json:"hash"` // state of the hash of the bytes before Offset, as its BinaryMarshaler encodes it
	Boot      string           `json:"boot"`
	Written   time.Time        `json:"written"`
}

// saveState saves the state. It does not fsync; see the package comment.
func (w *writer) saveState() error {
	if w.current {
		return nil
	}
	sum, err := w.hasher.flush().(encoding.BinaryMarshaler).MarshalBinary()
	if err != nil {
		return fmt.Errorf("save the state of the hash: %w", err)
	}
	if err := w.files.states.save(&state{
		ID: w.id, Algorithm: w.algorithm, Label: []byte(w.label), Offset: w.size, Hash: sum, Boot: w.files.boot, Written: time.Now(),
	}); err != nil {
		return fmt.Errorf("save the state: %w", err)
	}
	w.saved, w.current = true, true
	return nil
}

// recordHeader is the size of the header of a saved state: the length and the checksum of the record, four bytes each.
// Its slot may contain the rest of an earlier, longer record after it.
const recordHeader = 8

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (s *state) encode() ([]byte, error) {
	data, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("encode the state: %w", err)
	}
	record := make([]byte, recordHeader, recordHeader+len(data))
	binary.LittleEndian.PutUint32(record, uint32(len(data)))
	binary.LittleEndian.PutUint32(record[4:], crc32.Checksum(data, castagnoli))
	return append(record, data...), nil
}

// decodeState is strict: it must refuse a mixture of an old and a new state, which would describe other bytes. If a
// wrong state passes by accident, Commit still compares the digest.
func decodeState(record []byte) (*state, error) {
	if len(record) < recordHeader {
		return nil, errBadState
	}
	length, sum, data := binary.LittleEndian.Uint32(record), binary.LittleEndian.Uint32(record[4:]), record[recordHeader:]
	if uint64(length) > uint64(len(data)) || crc32.Checksum(data[:length], castagnoli) != sum {
		return nil, errBadState
	}
	s := new(state)
	if err := json.Unmarshal(data[:length], s); err != nil {
		return nil, fmt.Errorf("%w: %w", errBadState, err)
	}
	if !validID(s.ID) || !mirror.ValidAlgorithm(s.Algorithm) || s.Offset < 0 {
		return nil, errBadState
	}
	return s, nil
}

// restoreHash reports whether h could restore a saved state. Another version of Go may encode it differently.
func restoreHash(h hash.Hash, saved []byte) bool {
	u, ok := h.(encoding.BinaryUnmarshaler)
	return ok && u.UnmarshalBinary(saved) == nil
}
