package proxy

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
	"go.uber.org/zap"

	"airmirror/mirror"
)

// pins protects references from the collector.
type pins struct {
	store   mirror.Store
	content *content
	log     *zap.Logger
}

// pinRecord is the record of a pin.
type pinRecord struct {
	Since time.Time `json:"since"`
}

// Pin pins references. A reference that is pinned already does not change. If one is not stored, nothing is pinned, and the
// error is a [mirror.CodeManifestUnknown].
func (p *pins) Pin(ctx context.Context, refs ...mirror.Ref) error {
	record, err := json.Marshal(pinRecord{time.Now().UTC().Truncate(time.Second)})
	if err != nil {
		return err
	}
	if err := p.checkStored(ctx, refs); err != nil {
		return err
	}
	var undo map[string][]byte
	err = p.store.ChangeState(ctx, mirror.PinState, func(pins map[string][]byte) (map[string][]byte, error) {
		records := make(map[string][]byte)
		undo = make(map[string][]byte)
		for _, ref := range refs {
			if _, pinned := pins[ref.String()]; !pinned {
				records[ref.String()], undo[ref.String()] = record, nil
			}
		}
		return records, nil
	})
	if err != nil {
		return fmt.Errorf("pin: %w", err)
	}
	// The collector may have deleted a reference before the pins were written.
	if err := p.checkStored(ctx, refs); err != nil {
		if undone := p.store.SetState(context.WithoutCancel(ctx), mirror.PinState, undo); undone != nil {
			return fmt.Errorf("remove the new pins: %w", undone)
		}
		return err
	}
	return p.addRoots(ctx, refs)
}

// Unpin removes pins. If a reference is not pinned, no pin is removed, and the error is a [mirror.CodeManifestUnknown].
func (p *pins) Unpin(ctx context.Context, refs ...mirror.Ref) error {
	err := p.store.ChangeState(ctx, mirror.PinState, func(pins map[string][]byte) (map[string][]byte, error) {
		records := make(map[string][]byte)
		for _, ref := range refs {
			if _, pinned := pins[ref.String()]; !pinned {
				return nil, mirror.Errorf(mirror.CodeManifestUnknown, "%s is not pinned", ref)
			}
			records[ref.String()] = nil
		}
		return records, nil
	})
	if err != nil && mirror.CodeOf(err) != mirror.CodeManifestUnknown {
		return fmt.Errorf("unpin: %w", err)
	}
	return err
}

// Pins lists the pins in the order of their references.
func (p *pins) Pins(ctx context.Context) ([]mirror.Pin, error) {
	state, err := p.store.State(ctx, mirror.PinState)
	if err != nil {
		return nil, fmt.Errorf("read pins: %w", err)
	}
	pins := make([]mirror.Pin, 0, len(state))
	for name, text := range state {
		pin := mirror.Pin{Ref: name}
		var record pinRecord
		if json.Unmarshal(text, &record) == nil {
			pin.Since = record.Since
		}
		if ref, err := mirror.ParseRef(name); err == nil {
			if pin.Digest, err = p.resolve(ctx, ref); err != nil {
				return nil, err
			}
		}
		pins = append(pins, pin)
	}
	slices.SortFunc(pins, func(a, b mirror.Pin) int { return cmp.Compare(a.Ref, b.Ref) })
	return pins, nil
}

// checkStored returns a [mirror.CodeManifestUnknown] for a reference that is not stored.
func (p *pins) checkStored(ctx context.Context, refs []mirror.Ref) error {
	for _, ref := range refs {
		d, err := p.resolve(ctx, ref)
		if err != nil {
			return err
		}
		if d == "" {
			return mirror.Errorf(mirror.CodeManifestUnknown, "%s is not stored", ref)
		}
	}
	return nil
}

// resolve returns the digest of the stored manifest of a reference, or "".
func (p *pins) resolve(ctx context.Context, ref mirror.Ref) (digest.Digest, error) {
	found, err := p.content.lookup(mirror.WithoutUsage(ctx), ref)
	if mirror.CodeOf(err) == mirror.CodeManifestUnknown {
		return "", nil
	}
	return found.Digest, err
}

// addRoots turns manifests that are pinned by digest into roots. They remain roots after they are unpinned.
func (p *pins) addRoots(ctx context.Context, refs []mirror.Ref) error {
	var roots []mirror.ImportedTag
	for _, ref := range refs {
		if ref.Digest != "" {
			roots = append(roots, mirror.ImportedTag{Repo: ref.Repo, Digest: ref.Digest})
		}
	}
	if len(roots) == 0 {
		return nil
	}
	_, err := p.store.PointTags(ctx, roots, false)
	return err
}

// migrate turns manifests that older versions pinned by digest into roots, because those versions had no roots.
func (p *pins) migrate(ctx context.Context) {
	state, err := p.store.State(ctx, mirror.PinState)
	var refs []mirror.Ref
	for name := range state {
		ref, err := mirror.ParseRef(name)
		if err != nil || ref.Digest == "" {
			continue
		}
		if _, err := p.store.Manifest(mirror.WithoutUsage(ctx), ref.Repo, ref.Digest); err == nil {
			refs = append(refs, ref)
		}
	}
	if err == nil {
		err = p.addRoots(ctx, refs)
	}
	if err != nil {
		p.log.Warn("cannot make roots of pinned digests: they may not be listed", zap.Error(err))
	}
}
