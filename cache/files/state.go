package files

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"os"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

const (
	stateSuffix    = ".state"
	newStateSuffix = ".state.new"
)

// errBadState says that power was lost before a state was on disk. Nothing was promised about it.
var errBadState = errors.New("its saved state is damaged")

// state is what is kept beside the bytes of a suspended blob.
type state struct {
	Algorithm digest.Algorithm `json:"algorithm"`
	Label     []byte           `json:"label"` // not a string: JSON would change one that is not UTF-8
	Offset    int64            `json:"offset"`
	Hash      []byte           `json:"hash"` // of the bytes before Offset, as its BinaryMarshaler has it
	Boot      string           `json:"boot"`
}

// saveState replaces the state of the blob in one step. It is not synced: see the package comment.
func (w *writer) saveState() error {
	sum, err := w.hasher.settle().(encoding.BinaryMarshaler).MarshalBinary()
	if err != nil {
		return fmt.Errorf("save the state of the hash: %w", err)
	}
	data, err := json.Marshal(state{
		Algorithm: w.algorithm, Label: []byte(w.label), Offset: w.size, Hash: sum, Boot: w.files.boot,
	})
	if err != nil {
		return fmt.Errorf("encode the state: %w", err)
	}
	temporary := w.files.incoming(w.id + newStateSuffix)
	if err := os.WriteFile(temporary, data, fileMode); err != nil {
		return errors.Join(err, remove(temporary))
	}
	if err := os.Rename(temporary, w.files.incoming(w.id+stateSuffix)); err != nil {
		return errors.Join(err, remove(temporary))
	}
	w.saved = true
	return nil
}

func (f *Files) loadState(id string) (*state, error) {
	data, err := os.ReadFile(f.incoming(id + stateSuffix))
	if err != nil {
		return nil, err
	}
	s := new(state)
	if err := json.Unmarshal(data, s); err != nil {
		return nil, fmt.Errorf("%w: %w", errBadState, err)
	}
	if !mirror.ValidAlgorithm(s.Algorithm) || s.Offset < 0 {
		return nil, errBadState
	}
	return s, nil
}

// restoreHash reports whether h could take up a saved state: another version of Go may encode it in another way.
func restoreHash(h hash.Hash, saved []byte) bool {
	u, ok := h.(encoding.BinaryUnmarshaler)
	return ok && u.UnmarshalBinary(saved) == nil
}
