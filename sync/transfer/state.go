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

// importStates are notes of imports that wait for a volume: set → importState.
const importStates = "bundle open"

// pendingTimeout is how long an import waits for its next volume, and how long it is known after it ended.
const pendingTimeout = 30 * 24 * time.Hour

// importState is what is needed to go on with an import.
type importState struct {
	Set    string  `json:"set"`
	Next   int     `json:"next"`   // the volume that is wanted
	Offset int64   `json:"offset"` // where that begins in the bundle
	Starts []int64 `json:"starts"` // where those before it began
	// Head is a blob with all volumes that arrived, as long as they do not contain the whole document. After that it is
	// empty, and Document is the blob of the document.
	Head      digest.Digest `json:"head,omitempty"`
	Document  digest.Digest `json:"document,omitempty"`
	Signature []byte        `json:"signature,omitempty"`
	Part      *partialEntry `json:"part,omitempty"`    // of the entry that the next volume begins in
	NewBytes  int64         `json:"brought,omitempty"` // how many bytes of blobs the volumes that came brought
	Updated   time.Time     `json:"updated"`
	Bundle    string        `json:"bundle,omitempty"` // its ID, once it is known
	// Done says that all of it was imported: what is left of its volumes can be passed over.
	Done bool `json:"done,omitempty"`
}

// parts are the IDs of the parts that belong to the import.
func (o *importState) parts() (ids []string) {
	if o.Part != nil && o.Part.ID != "" {
		ids = append(ids, o.Part.ID)
	}
	return ids
}

// blobs are the blobs that the import needs to go on: those of its own, and those of its document, if it is known.
func (o *importState) blobs(doc *bundle.Document) (list []digest.Digest) {
	for _, d := range []digest.Digest{o.Head, o.Document} {
		if d != "" {
			list = append(list, d)
		}
	}
	if doc != nil {
		list = append(list, digestsOf(doc)...)
	}
	return list
}

// rewind has the import go on with the volume that byte from of the bundle is in.
func (o *importState) rewind(from int64) {
	starts := append(slices.Clone(o.Starts), o.Offset)
	i := len(starts) - 1
	for i > 0 && starts[i] > from {
		i--
	}
	o.Next, o.Offset, o.Starts, o.Head, o.Part = i+1, starts[i], starts[:i], "", nil
}

// pendingImports are the imports that wait for a volume, or are getting one. The zero value is ready.
type pendingImports struct {
	mu          sync.Mutex
	busy        map[string]bool
	protections map[string]*protection // what keeps what they brought from the collector, between requests
}

// begin lets one request at a time go on with a set.
func (o *pendingImports) begin(set string) (release func(), err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.busy[set] {
		return nil, mirror.Errorf(mirror.CodeUploadBusy, "a volume of %s is being imported by another request: wait until that has ended", set)
	}
	if o.busy == nil {
		o.busy = make(map[string]bool)
	}
	o.busy[set] = true
	return func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		delete(o.busy, set)
	}, nil
}

// protect keeps what an import needs to go on, in the place of what was kept for the set before.
func (o *pendingImports) protect(store Store, state *importState, doc *bundle.Document) {
	set := state.Set
	g := &protection{store: store}
	g.protect(state.blobs(doc)...)
	for _, id := range state.parts() {
		g.protectPartial(id)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.protections == nil {
		o.protections = make(map[string]*protection)
	}
	if old := o.protections[set]; old != nil {
		old.release()
	}
	o.protections[set] = g
}

func (o *pendingImports) release(set string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if g := o.protections[set]; g != nil {
		g.release()
	}
	delete(o.protections, set)
}

// loadState returns an import that waits for a volume, or a new one.
func (svc *Service) loadState(ctx context.Context, set string) (*importState, error) {
	notes, err := svc.store.State(ctx, importStates)
	if err != nil {
		return nil, fmt.Errorf("read what came of %s: %w", set, err)
	}
	state := &importState{Set: set, Next: 1}
	note := notes[set]
	if note == nil {
		return state, nil
	}
	if err := json.Unmarshal(note, state); err != nil {
		return nil, fmt.Errorf("read what came of %s: %w", set, err)
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

// saveState notes where an import is. doc is nil as long as it is not known.
func (svc *Service) saveState(ctx context.Context, state *importState, doc *bundle.Document) error {
	ctx = context.WithoutCancel(ctx)
	before, err := svc.loadState(ctx, state.Set)
	if err != nil {
		return err
	}
	state.Updated = svc.store.Now()
	note, err := json.Marshal(state)
	if err == nil {
		err = svc.store.SetState(ctx, importStates, map[string][]byte{state.Set: note})
	}
	if err != nil {
		return errors.Join(fmt.Errorf("note what came of %s: %w", state.Set, err), svc.dropParts(ctx, state, before.parts()))
	}
	svc.pending.protect(svc.store, state, doc)
	if state.Done {
		svc.pending.release(state.Set)
	}
	obsolete := slices.DeleteFunc(before.blobs(nil), func(d digest.Digest) bool { return slices.Contains(state.blobs(nil), d) })
	return errors.Join(svc.dropParts(ctx, before, state.parts()), svc.discard(ctx, obsolete))
}

// dropParts drops the parts of an import, but for some.
func (svc *Service) dropParts(ctx context.Context, state *importState, but []string) (err error) {
	for _, id := range state.parts() {
		if !slices.Contains(but, id) {
			err = errors.Join(err, svc.dropPart(ctx, id))
		}
	}
	return err
}

// dropPart drops a part, however fresh it is.
func (svc *Service) dropPart(ctx context.Context, id string) error {
	_, err := svc.store.ExpireUpload(context.WithoutCancel(ctx), id, svc.store.Now().Add(pendingTimeout))
	return err
}

// endState notes that an import is done, and drops what belonged to it alone.
func (svc *Service) endState(ctx context.Context, state *importState) error {
	return svc.saveState(ctx, &importState{Set: state.Set, Next: state.Next + 1, Bundle: state.Bundle, Done: true}, nil)
}

// dropState forgets an import, with what belongs to it alone; and what it brought, if doc says what that is.
func (svc *Service) dropState(ctx context.Context, state *importState, doc *bundle.Document) error {
	ctx = context.WithoutCancel(ctx)
	if err := svc.store.SetState(ctx, importStates, map[string][]byte{state.Set: nil}); err != nil {
		return fmt.Errorf("forget what came of %s: %w", state.Set, err)
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

// Resume protects what imports brought that wait for their next volume, gives up those that have waited too long, and
// drops what came and was not noted. Call it when the mirror starts, before anything is collected or imported.
func (svc *Service) Resume(ctx context.Context) error {
	notes, err := svc.store.State(ctx, importStates)
	if err != nil {
		return fmt.Errorf("read which imports wait for a volume: %w", err)
	}
	var noted []string
	for set, note := range notes {
		state := &importState{}
		var doc *bundle.Document
		err := json.Unmarshal(note, state)
		state.Set = set
		if err == nil && state.Document != "" {
			doc, err = svc.loadDocument(ctx, state.Document)
		}
		if err != nil || svc.store.Now().Sub(state.Updated) > pendingTimeout {
			svc.log.Info("giving up an import that waits for a volume", zap.String("set", set), zap.Error(err))
			if err := svc.dropState(ctx, state, doc); err != nil {
				return err
			}
			continue
		}
		svc.pending.protect(svc.store, state, doc)
		noted = append(noted, state.parts()...)
	}
	for upload, err := range svc.store.Uploads(ctx) {
		if err == nil && upload.Repo == "" && !slices.Contains(noted, upload.ID) {
			err = svc.dropPart(ctx, upload.ID)
		}
		if err != nil {
			return fmt.Errorf("drop what came of imports and was not noted: %w", err)
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
