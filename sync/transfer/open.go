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

// openNotes are notes of imports that wait for a volume: set → openImport.
const openNotes = "bundle open"

// openStays is how long an import waits for its next volume, and how long it is known after it ended.
const openStays = 30 * 24 * time.Hour

// openImport is what is needed to go on with an import.
type openImport struct {
	Set    string  `json:"set"`
	Next   int     `json:"next"`   // the volume that is wanted
	Offset int64   `json:"offset"` // where that begins in the bundle
	Starts []int64 `json:"starts"` // where those before it began
	// Beginning is all that came, as long as the document is not all there; Document, its blob, is empty until then.
	Beginning mirror.PartialBlob `json:"beginning,omitzero"`
	Document  digest.Digest      `json:"document,omitempty"`
	Signature []byte             `json:"signature,omitempty"`
	Part      *partial           `json:"part,omitempty"`    // of the entry that the next volume begins in
	Brought   int64              `json:"brought,omitempty"` // how many bytes of blobs the volumes that came brought
	Updated   time.Time          `json:"updated"`
	Bundle    string             `json:"bundle,omitempty"` // its ID, once it is known
	// Done says that all of it was imported: what is left of its volumes can be passed over.
	Done bool `json:"done,omitempty"`
}

// parts are the IDs of the parts that belong to the import.
func (o *openImport) parts() (ids []string) {
	if o.Beginning.ID != "" {
		ids = append(ids, o.Beginning.ID)
	}
	if o.Part != nil && o.Part.ID != "" {
		ids = append(ids, o.Part.ID)
	}
	return ids
}

// blobs are the blobs that the import needs to go on: those of its own, and those of its document, if it is known.
func (o *openImport) blobs(doc *bundle.Document) (list []digest.Digest) {
	if o.Document != "" {
		list = append(list, o.Document)
	}
	if doc != nil {
		list = append(list, digestsOf(doc)...)
	}
	return list
}

// rewind has the import go on with the volume that byte from of the bundle is in.
func (o *openImport) rewind(from int64) {
	starts := append(slices.Clone(o.Starts), o.Offset)
	i := len(starts) - 1
	for i > 0 && starts[i] > from {
		i--
	}
	o.Next, o.Offset, o.Starts, o.Beginning, o.Part = i+1, starts[i], starts[:i], mirror.PartialBlob{}, nil
}

// openImports are the imports that wait for a volume, or are getting one. The zero value is ready.
type openImports struct {
	mu     sync.Mutex
	busy   map[string]bool
	guards map[string]*guard // what keeps what they brought from the collector, between requests
}

// begin lets one request at a time go on with a set.
func (o *openImports) begin(set string) (release func(), err error) {
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
func (o *openImports) protect(store Store, state *openImport, doc *bundle.Document) {
	set := state.Set
	g := &guard{store: store}
	g.protect(state.blobs(doc)...)
	for _, id := range state.parts() {
		g.protectPart(id)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.guards == nil {
		o.guards = make(map[string]*guard)
	}
	if old := o.guards[set]; old != nil {
		old.release()
	}
	o.guards[set] = g
}

func (o *openImports) release(set string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if g := o.guards[set]; g != nil {
		g.release()
	}
	delete(o.guards, set)
}

// loadOpen returns an import that waits for a volume, or a new one.
func (c *Carrier) loadOpen(ctx context.Context, set string) (*openImport, error) {
	notes, err := c.store.State(ctx, openNotes)
	if err != nil {
		return nil, fmt.Errorf("read what came of %s: %w", set, err)
	}
	state := &openImport{Set: set, Next: 1}
	note := notes[set]
	if note == nil {
		return state, nil
	}
	if err := json.Unmarshal(note, state); err != nil {
		return nil, fmt.Errorf("read what came of %s: %w", set, err)
	}
	if state.Document != "" { // without Resume, a collector may have taken it
		if _, err := c.store.StatContent(ctx, state.Document); err != nil {
			return &openImport{Set: set, Next: 1}, nil
		}
	}
	return state, nil
}

// saveOpen notes where an import is. doc is nil as long as it is not known.
func (c *Carrier) saveOpen(ctx context.Context, state *openImport, doc *bundle.Document) error {
	ctx = context.WithoutCancel(ctx)
	before, err := c.loadOpen(ctx, state.Set)
	if err != nil {
		return err
	}
	state.Updated = c.store.Now()
	note, err := json.Marshal(state)
	if err == nil {
		err = c.store.SetState(ctx, openNotes, map[string][]byte{state.Set: note})
	}
	if err != nil {
		return errors.Join(fmt.Errorf("note what came of %s: %w", state.Set, err), c.dropParts(ctx, state, before.parts()))
	}
	c.open.protect(c.store, state, doc)
	if state.Done {
		c.open.release(state.Set)
	}
	if before.Document == state.Document {
		before.Document = ""
	}
	return errors.Join(c.dropParts(ctx, before, state.parts()), c.discard(ctx, before.blobs(nil)))
}

// dropParts drops the parts of an import, but for some.
func (c *Carrier) dropParts(ctx context.Context, state *openImport, but []string) (err error) {
	for _, id := range state.parts() {
		if !slices.Contains(but, id) {
			err = errors.Join(err, c.dropPart(ctx, id))
		}
	}
	return err
}

// dropPart drops a part, however fresh it is.
func (c *Carrier) dropPart(ctx context.Context, id string) error {
	_, err := c.store.ExpireUpload(context.WithoutCancel(ctx), id, c.store.Now().Add(openStays))
	return err
}

// endOpen notes that an import is done, and drops what belonged to it alone.
func (c *Carrier) endOpen(ctx context.Context, state *openImport) error {
	return c.saveOpen(ctx, &openImport{Set: state.Set, Next: state.Next + 1, Bundle: state.Bundle, Done: true}, nil)
}

// dropOpen forgets an import, with what belongs to it alone; and what it brought, if doc says what that is.
func (c *Carrier) dropOpen(ctx context.Context, state *openImport, doc *bundle.Document) error {
	ctx = context.WithoutCancel(ctx)
	if err := c.store.SetState(ctx, openNotes, map[string][]byte{state.Set: nil}); err != nil {
		return fmt.Errorf("forget what came of %s: %w", state.Set, err)
	}
	c.open.release(state.Set)
	digests := state.blobs(nil)
	if doc != nil {
		for d := range entriesOf(doc) {
			digests = append(digests, d)
		}
	}
	return errors.Join(c.dropParts(ctx, state, nil), c.discard(ctx, digests))
}

// Resume protects what imports brought that wait for their next volume, gives up those that have waited too long, and
// drops what came and was not noted. Call it when the mirror starts, before anything is collected or imported.
func (c *Carrier) Resume(ctx context.Context) error {
	notes, err := c.store.State(ctx, openNotes)
	if err != nil {
		return fmt.Errorf("read which imports wait for a volume: %w", err)
	}
	var noted []string
	for set, note := range notes {
		state := &openImport{}
		var doc *bundle.Document
		err := json.Unmarshal(note, state)
		state.Set = set
		if err == nil && state.Document != "" {
			doc, err = c.openDocument(ctx, state.Document)
		}
		if err != nil || c.store.Now().Sub(state.Updated) > openStays {
			c.log.Info("giving up an import that waits for a volume", zap.String("set", set), zap.Error(err))
			if err := c.dropOpen(ctx, state, doc); err != nil {
				return err
			}
			continue
		}
		c.open.protect(c.store, state, doc)
		noted = append(noted, state.parts()...)
	}
	for upload, err := range c.store.Uploads(ctx) {
		if err == nil && upload.Repo == "" && !slices.Contains(noted, upload.ID) {
			err = c.dropPart(ctx, upload.ID)
		}
		if err != nil {
			return fmt.Errorf("drop what came of imports and was not noted: %w", err)
		}
	}
	return nil
}

func (c *Carrier) openDocument(ctx context.Context, d digest.Digest) (*bundle.Document, error) {
	data, err := c.readDocument(ctx, d)
	if err != nil {
		return nil, err
	}
	doc := new(bundle.Document)
	return doc, json.Unmarshal(data, doc)
}
