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

// pinNote is what is noted of a pin.
type pinNote struct {
	Since time.Time `json:"since"`
}

// Pin pins references; one that is pinned already stays as it is. What is not held is a [mirror.CodeManifestUnknown], and
// nothing is pinned then.
func (m *Proxy) Pin(ctx context.Context, refs ...mirror.Ref) error {
	pins, err := m.store.State(ctx, mirror.PinState)
	if err != nil {
		return fmt.Errorf("read pins: %w", err)
	}
	note, err := json.Marshal(pinNote{time.Now().UTC().Truncate(time.Second)})
	if err != nil {
		return err
	}
	notes, undo := make(map[string][]byte), make(map[string][]byte)
	for _, ref := range refs {
		if _, pinned := pins[ref.String()]; !pinned {
			notes[ref.String()], undo[ref.String()] = note, nil
		}
	}
	if err := m.pinnable(ctx, refs); err != nil {
		return err
	}
	if err := m.store.SetState(ctx, mirror.PinState, notes); err != nil {
		return fmt.Errorf("pin: %w", err)
	}
	// What was collected at this moment is not promised.
	if err := m.pinnable(ctx, refs); err != nil {
		if undone := m.store.SetState(context.WithoutCancel(ctx), mirror.PinState, undo); undone != nil {
			return fmt.Errorf("unpin what could not be pinned: %w", undone)
		}
		return err
	}
	return m.root(ctx, refs)
}

// root makes roots of what is pinned by its digest. They stay that when they are unpinned.
func (m *Proxy) root(ctx context.Context, refs []mirror.Ref) error {
	var roots []mirror.ImportedTag
	for _, ref := range refs {
		if ref.Digest != "" {
			roots = append(roots, mirror.ImportedTag{Repo: ref.Repo, Digest: ref.Digest})
		}
	}
	if len(roots) == 0 {
		return nil
	}
	_, err := m.store.PointTags(ctx, roots, false)
	return err
}

// rootPins makes roots of what versions before pinned by digest, which knew of no roots.
func (m *Proxy) rootPins(ctx context.Context) {
	notes, err := m.store.State(ctx, mirror.PinState)
	var refs []mirror.Ref
	for name := range notes {
		ref, err := mirror.ParseRef(name)
		if err != nil || ref.Digest == "" {
			continue
		}
		if _, err := m.store.Manifest(mirror.WithoutUsage(ctx), ref.Repo, ref.Digest); err == nil {
			refs = append(refs, ref)
		}
	}
	if err == nil {
		err = m.root(ctx, refs)
	}
	if err != nil {
		m.log.Warn("what is pinned by its digest may not be listed", zap.Error(err))
	}
}

// pinnable reports what is not held.
func (m *Proxy) pinnable(ctx context.Context, refs []mirror.Ref) error {
	for _, ref := range refs {
		d, err := m.means(ctx, ref)
		if err != nil {
			return err
		}
		if d == "" {
			return mirror.Errorf(mirror.CodeManifestUnknown, "%s is not held", ref)
		}
	}
	return nil
}

// means returns the digest of a held manifest that a reference means; "" if there is none.
func (m *Proxy) means(ctx context.Context, ref mirror.Ref) (digest.Digest, error) {
	held, err := m.held(mirror.WithoutUsage(ctx), ref)
	if mirror.CodeOf(err) == mirror.CodeManifestUnknown {
		return "", nil
	}
	return held.Digest, err
}

// Unpin takes pins back. What is not pinned is a [mirror.CodeManifestUnknown], and no pin is taken back then.
func (m *Proxy) Unpin(ctx context.Context, refs ...mirror.Ref) error {
	pins, err := m.store.State(ctx, mirror.PinState)
	if err != nil {
		return fmt.Errorf("read pins: %w", err)
	}
	notes := make(map[string][]byte)
	for _, ref := range refs {
		if _, pinned := pins[ref.String()]; !pinned {
			return mirror.Errorf(mirror.CodeManifestUnknown, "%s is not pinned", ref)
		}
		notes[ref.String()] = nil
	}
	if err := m.store.SetState(ctx, mirror.PinState, notes); err != nil {
		return fmt.Errorf("unpin: %w", err)
	}
	return nil
}

// Pins lists what is pinned, in the order of names.
func (m *Proxy) Pins(ctx context.Context) ([]mirror.Pin, error) {
	notes, err := m.store.State(ctx, mirror.PinState)
	if err != nil {
		return nil, fmt.Errorf("read pins: %w", err)
	}
	pins := make([]mirror.Pin, 0, len(notes))
	for name, text := range notes {
		pin := mirror.Pin{Ref: name}
		var note pinNote
		if json.Unmarshal(text, &note) == nil {
			pin.Since = note.Since
		}
		if ref, err := mirror.ParseRef(name); err == nil {
			if pin.Digest, err = m.means(ctx, ref); err != nil {
				return nil, err
			}
		}
		pins = append(pins, pin)
	}
	slices.SortFunc(pins, func(a, b mirror.Pin) int { return cmp.Compare(a.Ref, b.Ref) })
	return pins, nil
}
