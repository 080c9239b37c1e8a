package cache

import (
	"bytes"
	"context"
	"slices"
	"strings"

	"airmirror/cache/backend"
)

// State implements [mirror.StateStore].
func (s *Store) State(ctx context.Context, kind string) (records map[string][]byte, err error) {
	kind = s.stateKind(kind)
	err = s.index.View(ctx, func(tx backend.ReadTx) error {
		records = readState(tx, kind)
		return nil
	})
	return records, explain(err, "read state of kind %s", kind)
}

// SetState implements [mirror.StateStore].
func (s *Store) SetState(ctx context.Context, kind string, records map[string][]byte) error {
	kind = s.stateKind(kind)
	err := s.index.Update(ctx, stateLocks(kind), func(tx backend.WriteTx) error { return writeState(tx, kind, records) })
	return explain(err, "write state of kind %s", kind)
}

// ChangeState implements [mirror.StateStore].
func (s *Store) ChangeState(ctx context.Context, kind string, change func(records map[string][]byte) (map[string][]byte, error)) error {
	kind = s.stateKind(kind)
	err := s.index.Update(ctx, stateLocks(kind), func(tx backend.WriteTx) error {
		records, err := change(readState(tx, kind))
		if err != nil {
			return err
		}
		return writeState(tx, kind, records)
	})
	return explain(err, "change state of kind %s", kind)
}

// stateKind returns the kind under which the index has the state of a kind: another one for each node, if it belongs to the node.
func (s *Store) stateKind(kind string) string {
	if slices.Contains(s.options.NodeState, kind) {
		return kind + "@" + s.options.Node
	}
	return kind
}

func stateLocks(kind string) backend.Locks {
	return backend.Locks{Exclusive: []string{lockedState(kind)}}
}

func readState(tx backend.ReadTx, kind string) map[string][]byte {
	records := make(map[string][]byte)
	for k, value := range tx.Scan(tableState, prefix(kind), "") {
		records[strings.TrimPrefix(k, prefix(kind))] = bytes.Clone(value)
	}
	return records
}

// writeState writes records; a nil value deletes one.
func writeState(tx backend.WriteTx, kind string, records map[string][]byte) error {
	for k, value := range records {
		var err error
		if value == nil {
			err = tx.Delete(tableState, key(kind, k))
		} else {
			err = tx.Put(tableState, key(kind, k), value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
