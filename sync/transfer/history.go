package transfer

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
	"airmirror/sync/bundle"
)

// Kinds of states about exported bundles. Keys begin with the destination, which contains no slash.
const (
	issuedStates = "bundle issued" // destination/ → issued
	exportStates = "bundle sent"   // destination/sequence → ExportedBundle
	// digestStates with an exportKey appended is a kind of state that lists digests, one per line, some thousand per
	// value. A digest is listed for the first bundle that contains it.
	digestStates = "bundle digests "
)

// issued is the last bundle that was numbered for a destination.
type issued struct {
	Sequence int64         `json:"sequence"`
	Content  digest.Digest `json:"content"` // see contentOf
}

// ExportedBundle is a bundle that was exported and recorded.
type ExportedBundle struct {
	Destination string    `json:"destination"`
	ID          string    `json:"id"`
	Sequence    int64     `json:"sequence"`
	Created     time.Time `json:"created"`
	Exported    time.Time `json:"sent"` // when the export was recorded
	Images      int       `json:"images"`
	Manifests   int       `json:"manifests"`
	Blobs       int       `json:"blobs"`
	Bytes       int64     `json:"bytes"` // total size of these manifests and blobs
}

func exportKey(destination string, sequence int64) string {
	return fmt.Sprintf("%s/%020d", destination, sequence)
}

// contentOf returns a digest that is the same for two documents of the same bundle, whatever their numbers are.
func contentOf(doc *bundle.Document) (digest.Digest, error) {
	same := *doc
	same.ID, same.Sequence, same.Created, same.Host, same.Tool = "", 0, time.Time{}, "", ""
	data, err := json.Marshal(same)
	return digest.FromBytes(data), err
}

// number sets the sequence number of a bundle. With reserve, it also records the number, which has to happen before the
// first byte is written.
func (svc *Service) number(ctx context.Context, doc *bundle.Document, reserve bool) error {
	content, err := contentOf(doc)
	if err != nil {
		return err
	}
	if !reserve {
		states, err := svc.store.State(ctx, issuedStates)
		if err != nil {
			return fmt.Errorf("read bundle numbers: %w", err)
		}
		_, err = nextNumber(doc, content, states)
		return err
	}
	// In one transaction, so that two nodes do not use the same number.
	err = svc.store.ChangeState(ctx, issuedStates, func(states map[string][]byte) (map[string][]byte, error) {
		return nextNumber(doc, content, states)
	})
	if err != nil {
		return fmt.Errorf("record the bundle number for %s: %w", destinationName(doc.Destination), err)
	}
	return nil
}

// nextNumber sets the sequence number of a bundle, given the numbers that were used, and returns the record of it; none if the
// last bundle had the same content.
func nextNumber(doc *bundle.Document, content digest.Digest, states map[string][]byte) (records map[string][]byte, err error) {
	key := doc.Destination + "/"
	var last issued
	if value := states[key]; value != nil {
		if err := json.Unmarshal(value, &last); err != nil {
			return nil, fmt.Errorf("read the last bundle number for %s: %w", destinationName(doc.Destination), err)
		}
	}
	doc.Sequence = last.Sequence
	if last.Content == content && last.Sequence > 0 {
		return nil, nil
	}
	doc.Sequence++
	value, err := json.Marshal(issued{doc.Sequence, content})
	return map[string][]byte{key: value}, err
}

// RecordExport records that a bundle of this mirror is safely stored, so that later bundles can omit its content.
// Recording a bundle again does nothing. It returns [mirror.CodeUnsupported] for a bundle of another mirror.
func (svc *Service) RecordExport(ctx context.Context, doc *bundle.Document) error {
	svc.numbering.Lock()
	defer svc.numbering.Unlock()
	identity, err := svc.identify(ctx)
	if err != nil {
		return err
	}
	if doc.Source != identity || doc.Sequence < 1 || doc.Destination != "" && !mirror.ValidTag(doc.Destination) {
		return mirror.Errorf(mirror.CodeUnsupported, "bundle %s was not made by this mirror", doc.ID)
	}
	sent, err := svc.exportedTo(ctx, doc.Destination)
	if err != nil {
		return err
	}
	added := make(map[digest.Digest]bool, len(doc.Manifests)+len(doc.Blobs))
	for _, m := range doc.Manifests {
		added[m.Digest] = true
	}
	for _, b := range doc.Blobs {
		added[b.Digest] = true
	}
	for _, s := range sent {
		if s.ID == doc.ID {
			return nil
		}
		if err := svc.exportedDigests(ctx, s, func(d digest.Digest) { delete(added, d) }); err != nil {
			return err
		}
	}
	record := ExportedBundle{
		Destination: doc.Destination, ID: doc.ID, Sequence: doc.Sequence, Created: doc.Created, Exported: time.Now().UTC(),
		Images: len(doc.Images), Manifests: len(doc.Manifests), Blobs: len(doc.Blobs), Bytes: sizeOf(doc),
	}
	return svc.recordExported(ctx, record, slices.Sorted(maps.Keys(added)))
}

// recordExported records the digests first, a few thousand at a time to keep transactions short, and then the bundle,
// which makes them count.
func (svc *Service) recordExported(ctx context.Context, sent ExportedBundle, digests []digest.Digest) error {
	const chunk = 4096
	key := exportKey(sent.Destination, sent.Sequence)
	for i := 0; len(digests) > 0; i++ {
		n := min(chunk, len(digests))
		var lines bytes.Buffer
		for _, d := range digests[:n] {
			lines.WriteString(d.String())
			lines.WriteByte('\n')
		}
		digests = digests[n:]
		if err := svc.store.SetState(ctx, digestStates+key, map[string][]byte{fmt.Sprintf("%08d", i): lines.Bytes()}); err != nil {
			return fmt.Errorf("record the content of bundle %s: %w", sent.ID, err)
		}
	}
	value, err := json.Marshal(sent)
	if err == nil {
		err = svc.store.SetState(ctx, exportStates, map[string][]byte{key: value})
	}
	if err != nil {
		return fmt.Errorf("record the export of bundle %s: %w", sent.ID, err)
	}
	return nil
}

// exportedDigests calls each with every digest that this bundle was the first one to contain.
func (svc *Service) exportedDigests(ctx context.Context, sent ExportedBundle, each func(digest.Digest)) error {
	states, err := svc.store.State(ctx, digestStates+exportKey(sent.Destination, sent.Sequence))
	if err != nil {
		return fmt.Errorf("read the content of bundle %s: %w", sent.ID, err)
	}
	for _, lines := range states {
		for line := range bytes.Lines(lines) {
			each(digest.Digest(bytes.TrimSpace(line)))
		}
	}
	return nil
}

// exportedTo returns the bundles that were exported for a destination, in order.
func (svc *Service) exportedTo(ctx context.Context, destination string) ([]ExportedBundle, error) {
	all, err := svc.History(ctx)
	return slices.DeleteFunc(all, func(s ExportedBundle) bool { return s.Destination != destination }), err
}

// History returns the exported bundles, sorted by destination and number.
func (svc *Service) History(ctx context.Context) ([]ExportedBundle, error) {
	states, err := svc.store.State(ctx, exportStates)
	if err != nil {
		return nil, fmt.Errorf("read the export history: %w", err)
	}
	list := make([]ExportedBundle, 0, len(states))
	for key, value := range states {
		var sent ExportedBundle
		if err := json.Unmarshal(value, &sent); err != nil {
			return nil, fmt.Errorf("read the export record of bundle %s: %w", key, err)
		}
		list = append(list, sent)
	}
	slices.SortFunc(list, func(a, b ExportedBundle) int {
		return cmp.Or(strings.Compare(a.Destination, b.Destination), cmp.Compare(a.Sequence, b.Sequence))
	})
	return list, nil
}
