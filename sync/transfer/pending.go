package transfer

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	"airmirror/mirror"
	"airmirror/sync/bundle"
)

// PendingImport is an import that waits for its next volume. Its content is protected from the collector until the
// import is dropped.
type PendingImport struct {
	Set    string    `json:"set"`              // identifies the set of volumes
	Name   string    `json:"name,omitempty"`   // of the files of the set, such as plant.tar, if it is known
	Count  int       `json:"count,omitempty"`  // number of volumes, if it is known
	Bundle string    `json:"bundle,omitempty"` // ID, if the document arrived
	Next   int       `json:"next"`             // number of the volume that is needed next
	Since  time.Time `json:"since"`            // when the previous volume was imported
}

// PendingImports returns the imports that wait for a volume, in the order of how long they have waited, the longest
// first.
func (svc *Service) PendingImports(ctx context.Context) (list []PendingImport, err error) {
	states, err := svc.store.State(ctx, importStates)
	for set, value := range states {
		state := &importState{}
		if json.Unmarshal(value, state) == nil && !state.Done { // Resume drops states that cannot be read
			list = append(list, PendingImport{set, state.Name, state.Count, state.Bundle, state.Next, mirror.WallClockTime(state.Updated, mirror.WallClockOffset(svc.store))})
		}
	}
	slices.SortFunc(list, func(a, b PendingImport) int { return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.Set, b.Set)) })
	if err != nil {
		err = fmt.Errorf("read pending imports: %w", err)
	}
	return list, err
}

// dropSuperseded drops pending imports of the bundle doc, and of older bundles of the same source for the same
// destination. Their next volume would be rejected, and they would keep their content from the collector until they
// time out. set is the import that is ending. Errors are logged only; the next import tries again.
func (svc *Service) dropSuperseded(ctx context.Context, doc *bundle.Document, set string) {
	states, err := svc.store.State(ctx, importStates)
	for other, value := range states {
		if other == set {
			continue
		}
		if dropped := svc.dropIfSuperseded(ctx, doc, other, value); dropped != nil {
			err = dropped
		}
	}
	if err != nil {
		svc.log.Warn("cannot drop superseded imports", zap.Error(err))
	}
}

func (svc *Service) dropIfSuperseded(ctx context.Context, doc *bundle.Document, set string, value []byte) error {
	release, err := svc.pending.begin(set)
	if err != nil {
		return nil // a volume of it is being imported
	}
	defer release()
	state := &importState{}
	if err := json.Unmarshal(value, state); err != nil || state.Done || state.Document == "" {
		return err
	}
	state.Set = set
	pending, err := svc.loadDocument(ctx, state.Document)
	if err != nil {
		return fmt.Errorf("read the pending import of %s: %w", set, err)
	}
	if importedKey(pending) != importedKey(doc) || pending.Sequence > doc.Sequence {
		return nil
	}
	svc.log.Info("dropping a pending import: the bundle or a later one was imported",
		zap.String("set", set), zap.String("bundle", doc.ID))
	return svc.dropState(ctx, state, pending)
}
