package cache

import (
	"bytes"
	"context"
	"strings"

	"airmirror/cache/backend"
)

// State implements [mirror.StateStore].
func (s *Store) State(ctx context.Context, kind string) (map[string][]byte, error) {
	values := make(map[string][]byte)
	err := s.index.View(ctx, func(tx backend.ReadTx) error {
		for k, value := range tx.Scan(tableState, prefix(kind), "") {
			values[strings.TrimPrefix(k, prefix(kind))] = bytes.Clone(value)
		}
		return nil
	})
	return values, explain(err, "read state of kind %s", kind)
}

// SetState implements [mirror.StateStore].
func (s *Store) SetState(ctx context.Context, kind string, values map[string][]byte) error {
	err := s.index.Update(ctx, backend.Locks{Exclusive: []string{lockedState(kind)}}, func(tx backend.WriteTx) error {
		for k, value := range values {
			if value == nil {
				if err := tx.Delete(tableState, key(kind, k)); err != nil {
					return err
				}
				continue
			}
			if err := tx.Put(tableState, key(kind, k), value); err != nil {
				return err
			}
		}
		return nil
	})
	return explain(err, "write state of kind %s", kind)
}
