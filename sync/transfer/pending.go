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

// PendingImports is an import that waits for a volume. What it brought is kept from the collector until it is given up.
type PendingImport struct {
	Set    string    `json:"set"`              // the name of its volumes
	Bundle string    `json:"bundle,omitempty"` // its ID, if the volumes that came say it
	Next   int       `json:"next"`             // the number of the volume that is wanted
	Since  time.Time `json:"since"`            // when the one before it came
}

// PendingImports lists the imports that wait for a volume, the one that waits longest first.
func (svc *Service) PendingImports(ctx context.Context) (list []PendingImport, err error) {
	notes, err := svc.store.State(ctx, importStates)
	for set, note := range notes {
		state := &importState{}
		if json.Unmarshal(note, state) == nil && !state.Done { // one that cannot be read is given up with the next start
			list = append(list, PendingImport{set, state.Bundle, state.Next, mirror.WallClockTime(state.Updated, mirror.WallClockOffset(svc.store))})
		}
	}
	slices.SortFunc(list, func(a, b PendingImport) int { return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.Set, b.Set)) })
	if err != nil {
		err = fmt.Errorf("read which imports wait for a volume: %w", err)
	}
	return list, err
}

// dropSuperseded gives up imports that wait for a volume of a bundle that came whole in another way, or of an older one of
// the same source for the same destination: its next volume would be refused, and until the import has waited too long no
// collector may free what it brought. set is the one that is being ended; what goes wrong is left for the next import.
func (svc *Service) dropSuperseded(ctx context.Context, doc *bundle.Document, set string) {
	notes, err := svc.store.State(ctx, importStates)
	for other, note := range notes {
		if other == set {
			continue
		}
		if dropped := svc.dropIfSuperseded(ctx, doc, other, note); dropped != nil {
			err = dropped
		}
	}
	if err != nil {
		svc.log.Warn("cannot give up imports that a later bundle has come for", zap.Error(err))
	}
}

func (svc *Service) dropIfSuperseded(ctx context.Context, doc *bundle.Document, set string, note []byte) error {
	release, err := svc.pending.begin(set)
	if err != nil {
		return nil // a volume of it is coming just now
	}
	defer release()
	state := &importState{}
	if err := json.Unmarshal(note, state); err != nil || state.Done || state.Document == "" {
		return err
	}
	state.Set = set
	waits, err := svc.loadDocument(ctx, state.Document)
	if err != nil {
		return fmt.Errorf("read what waits for a volume of %s: %w", set, err)
	}
	if importedKey(waits) != importedKey(doc) || waits.Sequence > doc.Sequence {
		return nil
	}
	svc.log.Info("giving up an import that waits for a volume: that bundle, or a later one, has come",
		zap.String("set", set), zap.String("bundle", doc.ID))
	return svc.dropState(ctx, state, waits)
}
