package transfer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	"go.uber.org/zap"

	"airmirror/mirror"
	"airmirror/sync/bundle"
)

// importStates is the kind of states of imports of volumes: set → importState.
const importStates = "bundle open"

// pendingTimeout is how long an import waits for its next volume, and how long a finished import is remembered.
const pendingTimeout = 30 * 24 * time.Hour

// importState is the recorded progress of an import of volumes.
type importState struct {
	Set    string  `json:"set"`
	Name   string  `json:"name,omitempty"`  // of the set, for people
	Count  int     `json:"count,omitempty"` // number of volumes, if it is known
	Next   int     `json:"next"`            // number of the volume that is needed next
	Offset int64   `json:"offset"`          // offset of that volume in the bundle
	Starts []int64 `json:"starts"`          // offsets of the volumes before it
	// Head is a blob that contains all volumes so far, until they contain the whole document. Then Head is empty, and
	// Document is the blob of the document.
	Head      digest.Digest `json:"head,omitempty"`
	Document  digest.Digest `json:"document,omitempty"`
	Signature []byte        `json:"signature,omitempty"`
	Part      *partialEntry `json:"part,omitempty"`    // the entry that the next volume continues
	NewBytes  int64         `json:"brought,omitempty"` // size of the blobs that earlier volumes added
	Updated   time.Time     `json:"updated"`
	Bundle    string        `json:"bundle,omitempty"` // ID; empty while it is unknown
	// Done means that the bundle was imported, so that its remaining volumes are skipped.
	Done bool `json:"done,omitempty"`
}

// parts returns the IDs of the partial blobs of the import.
func (s *importState) parts() (ids []string) {
	if s.Part != nil && s.Part.ID != "" {
		ids = append(ids, s.Part.ID)
	}
	return ids
}

// blobs returns the blobs that the import needs to continue: its own, and those of its document, if doc is not nil.
func (s *importState) blobs(doc *bundle.Document) (list []digest.Digest) {
	for _, d := range []digest.Digest{s.Head, s.Document} {
		if d != "" {
			list = append(list, d)
		}
	}
	if doc != nil {
		list = append(list, digestsOf(doc)...)
	}
	return list
}

// rewind makes the import continue with the volume that contains byte from of the bundle.
func (s *importState) rewind(from int64) {
	starts := append(slices.Clone(s.Starts), s.Offset)
	i := len(starts) - 1
	for i > 0 && starts[i] > from {
		i--
	}
	s.Next, s.Offset, s.Starts, s.Head, s.Part = i+1, starts[i], starts[:i], "", nil
}

// pendingImports are the unfinished imports of volumes. The zero value is ready.
type pendingImports struct {
	mu          sync.Mutex
	busy        map[string]bool
	protections map[string]*protection // between requests, by set
}

// begin returns an error if another request imports a volume of the set.
func (p *pendingImports) begin(set string) (release func(), err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.busy[set] {
		return nil, mirror.Errorf(mirror.CodeUploadBusy, "another request is importing a volume of %s: wait until it ends", set)
	}
	if p.busy == nil {
		p.busy = make(map[string]bool)
	}
	p.busy[set] = true
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.busy, set)
	}, nil
}

// protect protects the content that an import needs to continue. It replaces the previous protection of the set.
func (p *pendingImports) protect(store Store, state *importState, doc *bundle.Document) {
	set := state.Set
	g := &protection{store: store}
	g.protect(state.blobs(doc)...)
	for _, id := range state.parts() {
		g.protectPartial(id)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.protections == nil {
		p.protections = make(map[string]*protection)
	}
	if old := p.protections[set]; old != nil {
		old.release()
	}
	p.protections[set] = g
}

func (p *pendingImports) release(set string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if g := p.protections[set]; g != nil {
		g.release()
	}
	delete(p.protections, set)
}

// loadState returns the state of an import, or a new one.
func (svc *Service) loadState(ctx context.Context, set string) (*importState, error) {
	states, err := svc.store.State(ctx, importStates)
	if err != nil {
		return nil, fmt.Errorf("read the pending import of %s: %w", set, err)
	}
	state := &importState{Set: set, Next: 1}
	value := states[set]
	if value == nil {
		return state, nil
	}
	if err := json.Unmarshal(value, state); err != nil {
		return nil, fmt.Errorf("read the pending import of %s: %w", set, err)
	}
	if state.Next > 1 && state.Head == "" && state.Document == "" && !state.Done { // written by an earlier version
		return &importState{Set: set, Next: 1}, nil
	}
	for _, d := range state.blobs(nil) { // the collector may have deleted them if Resume was not called
		if _, err := svc.store.StatContent(ctx, d); err != nil {
			return &importState{Set: set, Next: 1}, nil
		}
	}
	return state, nil
}

// saveState records the state of an import. doc is nil as long as it is unknown.
func (svc *Service) saveState(ctx context.Context, state *importState, doc *bundle.Document) error {
	ctx = context.WithoutCancel(ctx)
	before, err := svc.loadState(ctx, state.Set)
	if err != nil {
		return err
	}
	state.Updated = svc.store.Now()
	value, err := json.Marshal(state)
	if err == nil {
		err = svc.store.SetState(ctx, importStates, map[string][]byte{state.Set: value})
	}
	if err != nil {
		return errors.Join(fmt.Errorf("record the pending import of %s: %w", state.Set, err), svc.dropParts(ctx, state, before.parts()))
	}
	svc.pending.protect(svc.store, state, doc)
	if state.Done {
		svc.pending.release(state.Set)
	}
	obsolete := slices.DeleteFunc(before.blobs(nil), func(d digest.Digest) bool { return slices.Contains(state.blobs(nil), d) })
	return errors.Join(svc.dropParts(ctx, before, state.parts()), svc.discard(ctx, obsolete))
}

// dropParts deletes the partial blobs of an import, except for some.
func (svc *Service) dropParts(ctx context.Context, state *importState, except []string) (err error) {
	for _, id := range state.parts() {
		if !slices.Contains(except, id) {
			err = errors.Join(err, svc.dropPart(ctx, id))
		}
	}
	return err
}

// dropPart deletes a partial blob, however recent it is.
func (svc *Service) dropPart(ctx context.Context, id string) error {
	_, err := svc.store.ExpireUpload(context.WithoutCancel(ctx), id, svc.store.Now().Add(pendingTimeout))
	return err
}

// endState records that an import is done, and deletes the content that only this import needed.
func (svc *Service) endState(ctx context.Context, state *importState) error {
	return svc.saveState(ctx, &importState{Set: state.Set, Next: state.Next + 1, Bundle: state.Bundle, Done: true}, nil)
}

// dropState deletes the state of an import and the content that only this import needed. If doc is not nil, dropState
// also deletes the blobs that the import added.
func (svc *Service) dropState(ctx context.Context, state *importState, doc *bundle.Document) error {
	ctx = context.WithoutCancel(ctx)
	if err := svc.store.SetState(ctx, importStates, map[string][]byte{state.Set: nil}); err != nil {
		return fmt.Errorf("drop the pending import of %s: %w", state.Set, err)
	}
	svc.pending.release(state.Set)
	digests := state.blobs(nil)
	if doc != nil {
		for d := range entriesOf(doc) {
			digests = append(digests, d)
		}
	}
	return errors.Join(svc.dropParts(ctx, state, nil), svc.discard(ctx, digests))
}

// Resume protects the content of pending imports, drops imports that have waited for longer than pendingTimeout, and
// deletes partial blobs that no import refers to, unless another node may be importing them. It must be called when a mirror
// starts, before the first collection and the first import.
func (svc *Service) Resume(ctx context.Context) error {
	states, err := svc.store.State(ctx, importStates)
	if err != nil {
		return fmt.Errorf("read pending imports: %w", err)
	}
	var known []string
	for set, value := range states {
		state := &importState{}
		var doc *bundle.Document
		err := json.Unmarshal(value, state)
		state.Set = set
		if err == nil && state.Document != "" {
			doc, err = svc.loadDocument(ctx, state.Document)
		}
		if err != nil || svc.store.Now().Sub(state.Updated) > pendingTimeout {
			svc.log.Info("dropping a pending import", zap.String("set", set), zap.Error(err))
			if err := svc.dropState(ctx, state, doc); err != nil {
				return err
			}
			continue
		}
		svc.pending.protect(svc.store, state, doc)
		known = append(known, state.parts()...)
	}
	if svc.opts.SharedStore {
		return nil
	}
	for upload, err := range svc.store.Uploads(ctx) {
		if err == nil && upload.Repo == "" && !slices.Contains(known, upload.ID) {
			err = svc.dropPart(ctx, upload.ID)
		}
		if err != nil {
			return fmt.Errorf("drop partial blobs of unknown imports: %w", err)
		}
	}
	return nil
}

func (svc *Service) loadDocument(ctx context.Context, d digest.Digest) (*bundle.Document, error) {
	data, err := svc.readDocument(ctx, d)
	if err != nil {
		return nil, err
	}
	doc := new(bundle.Document)
	return doc, json.Unmarshal(data, doc)
}
