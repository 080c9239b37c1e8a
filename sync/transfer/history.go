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

// The kinds of notes about bundles that go out. Their keys begin with the destination, which no / is in.
const (
	issuedStates = "bundle issued" // destination → issued
	exportStates = "bundle sent"   // destination/sequence → ExportedBundle
	// digestStates and a exportKey are a kind of their own: digests in lines, some thousand to a note. A digest is noted with
	// the first bundle that had it.
	digestStates = "bundle digests "
)

// issued is the last bundle that was numbered for a destination.
type issued struct {
	Sequence int64         `json:"sequence"`
	Content  digest.Digest `json:"content"` // what makes two bundles the same, see contentOf
}

// ExportedBundle is a bundle that reached a disk.
type ExportedBundle struct {
	Destination string    `json:"destination"`
	ID          string    `json:"id"`
	Sequence    int64     `json:"sequence"`
	Created     time.Time `json:"created"`
	Exported    time.Time `json:"sent"` // when that was noted
	Images      int       `json:"images"`
	Manifests   int       `json:"manifests"`
	Blobs       int       `json:"blobs"`
	Bytes       int64     `json:"bytes"` // of these manifests and blobs
}

func exportKey(destination string, sequence int64) string {
	return fmt.Sprintf("%s/%020d", destination, sequence)
}

// contentOf is the same for two documents that are the same bundle, whatever their numbers.
func contentOf(doc *bundle.Document) (digest.Digest, error) {
	same := *doc
	same.ID, same.Sequence, same.Created, same.Host, same.Tool = "", 0, time.Time{}, "", ""
	data, err := json.Marshal(same)
	return digest.FromBytes(data), err
}

// number gives a bundle its number; reserve notes it, before its first byte goes out.
func (svc *Service) number(ctx context.Context, doc *bundle.Document, reserve bool) error {
	content, err := contentOf(doc)
	if err != nil {
		return err
	}
	svc.numbering.Lock()
	defer svc.numbering.Unlock()
	notes, err := svc.store.State(ctx, issuedStates)
	if err != nil {
		return fmt.Errorf("read the numbers of bundles: %w", err)
	}
	var last issued
	if note := notes[doc.Destination+"/"]; note != nil {
		if err := json.Unmarshal(note, &last); err != nil {
			return fmt.Errorf("read the number of the last bundle for %s: %w", destinationName(doc.Destination), err)
		}
	}
	doc.Sequence = last.Sequence
	if last.Content == content && last.Sequence > 0 {
		return nil
	}
	doc.Sequence++
	if !reserve {
		return nil
	}
	note, err := json.Marshal(issued{doc.Sequence, content})
	if err == nil {
		err = svc.store.SetState(ctx, issuedStates, map[string][]byte{doc.Destination + "/": note})
	}
	if err != nil {
		return fmt.Errorf("note the number of a bundle for %s: %w", destinationName(doc.Destination), err)
	}
	return nil
}

// Exported notes that a bundle by this mirror is safely on a disk, so that later ones can leave out what is in it. It may be
// called again. [mirror.CodeUnsupported] for a bundle by another mirror.
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
	fresh := make(map[digest.Digest]bool, len(doc.Manifests)+len(doc.Blobs))
	for _, m := range doc.Manifests {
		fresh[m.Digest] = true
	}
	for _, b := range doc.Blobs {
		fresh[b.Digest] = true
	}
	for _, s := range sent {
		if s.ID == doc.ID {
			return nil
		}
		if err := svc.exportedDigests(ctx, s, func(d digest.Digest) { delete(fresh, d) }); err != nil {
			return err
		}
	}
	note := ExportedBundle{
		Destination: doc.Destination, ID: doc.ID, Sequence: doc.Sequence, Created: doc.Created, Exported: time.Now().UTC(),
		Images: len(doc.Images), Manifests: len(doc.Manifests), Blobs: len(doc.Blobs), Bytes: sizeOf(doc),
	}
	return svc.recordExported(ctx, note, slices.Sorted(maps.Keys(fresh)))
}

// recordExported writes the digests first, a few thousand at a time so that no transaction is long, and then what makes them
// count.
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
			return fmt.Errorf("note what bundle %s has: %w", sent.ID, err)
		}
	}
	note, err := json.Marshal(sent)
	if err == nil {
		err = svc.store.SetState(ctx, exportStates, map[string][]byte{key: note})
	}
	if err != nil {
		return fmt.Errorf("note that bundle %s was sent: %w", sent.ID, err)
	}
	return nil
}

// exportedDigests calls each with what was first sent with a bundle.
func (svc *Service) exportedDigests(ctx context.Context, sent ExportedBundle, each func(digest.Digest)) error {
	notes, err := svc.store.State(ctx, digestStates+exportKey(sent.Destination, sent.Sequence))
	if err != nil {
		return fmt.Errorf("read what bundle %s has: %w", sent.ID, err)
	}
	for _, lines := range notes {
		for line := range bytes.Lines(lines) {
			each(digest.Digest(bytes.TrimSpace(line)))
		}
	}
	return nil
}

// exportedTo are the bundles that were sent to a destination, in order.
func (svc *Service) exportedTo(ctx context.Context, destination string) ([]ExportedBundle, error) {
	all, err := svc.History(ctx)
	return slices.DeleteFunc(all, func(s ExportedBundle) bool { return s.Destination != destination }), err
}

// History lists the bundles that were sent, by destination, in the order of their numbers.
func (svc *Service) History(ctx context.Context) ([]ExportedBundle, error) {
	notes, err := svc.store.State(ctx, exportStates)
	if err != nil {
		return nil, fmt.Errorf("read which bundles were sent: %w", err)
	}
	list := make([]ExportedBundle, 0, len(notes))
	for key, note := range notes {
		var sent ExportedBundle
		if err := json.Unmarshal(note, &sent); err != nil {
			return nil, fmt.Errorf("read that bundle %s was sent: %w", key, err)
		}
		list = append(list, sent)
	}
	slices.SortFunc(list, func(a, b ExportedBundle) int {
		return cmp.Or(strings.Compare(a.Destination, b.Destination), cmp.Compare(a.Sequence, b.Sequence))
	})
	return list, nil
}
