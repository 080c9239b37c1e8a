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
	issuedNotes = "bundle issued" // destination → issued
	sentNotes   = "bundle sent"   // destination/sequence → SentBundle
	// digestNotes and a sentKey are a kind of their own: digests in lines, some thousand to a note. A digest is noted with
	// the first bundle that had it.
	digestNotes = "bundle digests "
)

// issued is the last bundle that was numbered for a destination.
type issued struct {
	Sequence int64         `json:"sequence"`
	Content  digest.Digest `json:"content"` // what makes two bundles the same, see contentOf
}

// SentBundle is a bundle that reached a disk.
type SentBundle struct {
	Destination string    `json:"destination"`
	ID          string    `json:"id"`
	Sequence    int64     `json:"sequence"`
	Created     time.Time `json:"created"`
	Sent        time.Time `json:"sent"` // when that was noted
	Images      int       `json:"images"`
	Manifests   int       `json:"manifests"`
	Blobs       int       `json:"blobs"`
	Bytes       int64     `json:"bytes"` // of these manifests and blobs
}

func sentKey(destination string, sequence int64) string {
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
func (c *Carrier) number(ctx context.Context, doc *bundle.Document, reserve bool) error {
	content, err := contentOf(doc)
	if err != nil {
		return err
	}
	c.numbering.Lock()
	defer c.numbering.Unlock()
	notes, err := c.store.State(ctx, issuedNotes)
	if err != nil {
		return fmt.Errorf("read the numbers of bundles: %w", err)
	}
	var last issued
	if note := notes[doc.Destination+"/"]; note != nil {
		if err := json.Unmarshal(note, &last); err != nil {
			return fmt.Errorf("read the number of the last bundle for %s: %w", called(doc.Destination), err)
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
		err = c.store.SetState(ctx, issuedNotes, map[string][]byte{doc.Destination + "/": note})
	}
	if err != nil {
		return fmt.Errorf("note the number of a bundle for %s: %w", called(doc.Destination), err)
	}
	return nil
}

// Sent notes that a bundle by this mirror is safely on a disk, so that later ones can leave out what is in it. It may be
// called again. [mirror.CodeUnsupported] for a bundle by another mirror.
func (c *Carrier) Sent(ctx context.Context, doc *bundle.Document) error {
	c.numbering.Lock()
	defer c.numbering.Unlock()
	identity, err := c.identify(ctx)
	if err != nil {
		return err
	}
	if doc.Source != identity || doc.Sequence < 1 || doc.Destination != "" && !mirror.ValidTag(doc.Destination) {
		return mirror.Errorf(mirror.CodeUnsupported, "bundle %s was not made by this mirror", doc.ID)
	}
	sent, err := c.sentTo(ctx, doc.Destination)
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
		if err := c.sentDigests(ctx, s, func(d digest.Digest) { delete(fresh, d) }); err != nil {
			return err
		}
	}
	note := SentBundle{
		Destination: doc.Destination, ID: doc.ID, Sequence: doc.Sequence, Created: doc.Created, Sent: time.Now().UTC(),
		Images: len(doc.Images), Manifests: len(doc.Manifests), Blobs: len(doc.Blobs), Bytes: sizeOf(doc),
	}
	return c.noteSent(ctx, note, slices.Sorted(maps.Keys(fresh)))
}

// noteSent writes the digests first, a few thousand at a time so that no transaction is long, and then what makes them
// count.
func (c *Carrier) noteSent(ctx context.Context, sent SentBundle, digests []digest.Digest) error {
	const chunk = 4096
	key := sentKey(sent.Destination, sent.Sequence)
	for i := 0; len(digests) > 0; i++ {
		n := min(chunk, len(digests))
		var lines bytes.Buffer
		for _, d := range digests[:n] {
			lines.WriteString(d.String())
			lines.WriteByte('\n')
		}
		digests = digests[n:]
		if err := c.store.SetState(ctx, digestNotes+key, map[string][]byte{fmt.Sprintf("%08d", i): lines.Bytes()}); err != nil {
			return fmt.Errorf("note what bundle %s has: %w", sent.ID, err)
		}
	}
	note, err := json.Marshal(sent)
	if err == nil {
		err = c.store.SetState(ctx, sentNotes, map[string][]byte{key: note})
	}
	if err != nil {
		return fmt.Errorf("note that bundle %s was sent: %w", sent.ID, err)
	}
	return nil
}

// sentDigests calls each with what was first sent with a bundle.
func (c *Carrier) sentDigests(ctx context.Context, sent SentBundle, each func(digest.Digest)) error {
	notes, err := c.store.State(ctx, digestNotes+sentKey(sent.Destination, sent.Sequence))
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

// sentTo are the bundles that were sent to a destination, in order.
func (c *Carrier) sentTo(ctx context.Context, destination string) ([]SentBundle, error) {
	all, err := c.History(ctx)
	return slices.DeleteFunc(all, func(s SentBundle) bool { return s.Destination != destination }), err
}

// History lists the bundles that were sent, by destination, in the order of their numbers.
func (c *Carrier) History(ctx context.Context) ([]SentBundle, error) {
	notes, err := c.store.State(ctx, sentNotes)
	if err != nil {
		return nil, fmt.Errorf("read which bundles were sent: %w", err)
	}
	list := make([]SentBundle, 0, len(notes))
	for key, note := range notes {
		var sent SentBundle
		if err := json.Unmarshal(note, &sent); err != nil {
			return nil, fmt.Errorf("read that bundle %s was sent: %w", key, err)
		}
		list = append(list, sent)
	}
	slices.SortFunc(list, func(a, b SentBundle) int {
		return cmp.Or(strings.Compare(a.Destination, b.Destination), cmp.Compare(a.Sequence, b.Sequence))
	})
	return list, nil
}
