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

// Waiting is an import that waits for a volume. What it brought is kept from the collector until it is given up.
type Waiting struct {
	Set    string    `json:"set"`              // the name of its volumes
	Bundle string    `json:"bundle,omitempty"` // its ID, if the volumes that came say it
	Next   int       `json:"next"`             // the number of the volume that is wanted
	Since  time.Time `json:"since"`            // when the one before it came
}

// Waiting lists the imports that wait for a volume, the one that waits longest first.
func (c *Carrier) Waiting(ctx context.Context) (list []Waiting, err error) {
	notes, err := c.store.State(ctx, openNotes)
	for set, note := range notes {
		state := &openImport{}
		if json.Unmarshal(note, state) == nil && !state.Done { // one that cannot be read is given up with the next start
			list = append(list, Waiting{set, state.Bundle, state.Next, mirror.WallClockTime(state.Updated, mirror.WallClockOffset(c.store))})
		}
	}
	slices.SortFunc(list, func(a, b Waiting) int { return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.Set, b.Set)) })
	if err != nil {
		err = fmt.Errorf("read which imports wait for a volume: %w", err)
	}
	return list, err
}

// dropSuperseded gives up imports that wait for a volume of a bundle that came whole in another way, or of an older one of
// the same source for the same destination: its next volume would be refused, and until the import has waited too long no
// collector may free what it brought. set is the one that is being ended; what goes wrong is left for the next import.
func (c *Carrier) dropSuperseded(ctx context.Context, doc *bundle.Document, set string) {
	notes, err := c.store.State(ctx, openNotes)
	for other, note := range notes {
		if other == set {
			continue
		}
		if dropped := c.dropIfSuperseded(ctx, doc, other, note); dropped != nil {
			err = dropped
		}
	}
	if err != nil {
		c.log.Warn("cannot give up imports that a later bundle has come for", zap.Error(err))
	}
}

func (c *Carrier) dropIfSuperseded(ctx context.Context, doc *bundle.Document, set string, note []byte) error {
	release, err := c.open.begin(set)
	if err != nil {
		return nil // a volume of it is coming just now
	}
	defer release()
	state := &openImport{}
	if err := json.Unmarshal(note, state); err != nil || state.Done || state.Document == "" {
		return err
	}
	state.Set = set
	waits, err := c.openDocument(ctx, state.Document)
	if err != nil {
		return fmt.Errorf("read what waits for a volume of %s: %w", set, err)
	}
	if importedKey(waits) != importedKey(doc) || waits.Sequence > doc.Sequence {
		return nil
	}
	c.log.Info("giving up an import that waits for a volume: that bundle, or a later one, has come",
		zap.String("set", set), zap.String("bundle", doc.ID))
	return c.dropOpen(ctx, state, waits)
}
