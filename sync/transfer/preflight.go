package transfer

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
	"airmirror/sync/bundle"
)

// accept decides whether a bundle may come in, before anything is changed: it is signed as it has to be, no older than
// what was imported before, makes sense, and what it builds on is held. It finds out what of it is lacking here.
func (in *importer) preflight(ctx context.Context, document, signature []byte) error {
	s := &in.summary
	s.describe(in.doc)
	s.Document, s.Signed = digest.FromBytes(document), signature != nil
	var err error
	if s.Key, err = in.verify(document, signature); err != nil {
		return err
	}
	if err := in.listManifests(); err != nil {
		return err
	}
	if err := in.checkDestination(); err != nil {
		return err
	}
	if err := in.checkAge(ctx); err != nil {
		return err
	}
	in.protect(digestsOf(in.doc)...)
	if err := in.checkBase(ctx); err != nil {
		return err
	}
	var total int64
	for d, size := range entriesOf(in.doc) {
		held, err := in.service.isIntact(ctx, d, size)
		if err != nil {
			return err
		}
		if !held {
			in.missing[d] = true
			total += size
			if in.req.DryRun {
				in.added[d] = size
			}
		}
	}
	in.report(Event{Kind: KindPlan, Images: len(in.doc.Images), Total: total})
	read := s.Bytes
	if in.req.Volume != nil {
		read = in.req.Volume.Size
	}
	in.Expect(read)
	if in.req.DryRun {
		return in.preview(ctx)
	}
	if len(in.missing) == 0 {
		in.Did(read)
	}
	return nil
}

// verify checks the signature of what has one, if there are keys to check it with, and that there is one if there has
// to be. The signature of what is no bundle is nil.
func (in *importer) verify(document, signature []byte) (keyID string, err error) {
	needed := in.service.opts.Signed || len(in.req.Keys) > 0
	var verifier Verifier
	if in.service.opts.Verifier != nil {
		if verifier, err = in.service.opts.Verifier(in.req.Keys); err != nil {
			return "", err
		}
	}
	switch {
	case signature == nil && needed:
		return "", mirror.Errorf(mirror.CodeDenied, "it is not signed, and only what is signed by a key that is trusted is taken in")
	case verifier == nil && needed:
		return "", mirror.Errorf(mirror.CodeDenied, "its signature cannot be checked: no key is trusted here, name one with --verify or in the configuration")
	case signature == nil || verifier == nil:
		return "", nil
	}
	keyID, err = verifier.Verify(document, signature)
	if err != nil {
		return "", mirror.Errorf(mirror.CodeDenied, "bundle %s is not taken in: %w", in.doc.ID, err)
	}
	return keyID, nil
}

// destined refuses a bundle that is for another destination.
func (in *importer) checkDestination() error {
	own, to := in.service.opts.Destination, in.doc.Destination
	if own == "" || to == "" || own == to || in.req.AnyDestination {
		return nil
	}
	return mirror.Errorf(mirror.CodeDenied, "bundle %s is for %s, and this mirror is %s: --any-destination takes it in all the same", in.doc.ID, to, own)
}

// age refuses what is older than what was imported of the same source, and sees whether it is that: by its number if it is
// for the same destination, and by when it was made if it is for another, which numbers do not tell.
func (in *importer) checkAge(ctx context.Context) error {
	last, err := in.service.lastImported(ctx, in.doc)
	if err != nil {
		return err
	}
	in.summary.Known = last.ID == in.doc.ID
	switch {
	case in.req.AllowOlder:
		return nil
	case in.doc.Sequence < last.Sequence:
		return in.olderError(last)
	case in.summary.Known:
		return nil
	}
	imported, err := in.service.Imported(ctx)
	for _, other := range imported {
		if err == nil && other.Source == in.doc.Source && other.Destination != in.doc.Destination && in.doc.Created.Before(other.Created) {
			err = in.olderError(other)
		}
	}
	return err
}

// older refuses what is older than a bundle that was imported.
func (in *importer) olderError(than ImportedBundle) error {
	to := ""
	if than.Destination != in.doc.Destination {
		to = " for " + cmp.Or(than.Destination, "any destination")
	}
	return mirror.Errorf(mirror.CodeDenied, "bundle %s is number %d of %s, made %s, and number %d%s, made %s, was imported already: it would bring old content back; --allow-older takes it in all the same",
		in.doc.ID, in.doc.Sequence, in.doc.Source, in.doc.Created.Format(time.RFC3339), than.Sequence, to, than.Created.Format(time.RFC3339))
}

func importedKey(doc *bundle.Document) string { return doc.Source + "/" + doc.Destination }

// lastImported is the zero value if there was none.
func (svc *Service) lastImported(ctx context.Context, doc *bundle.Document) (last ImportedBundle, err error) {
	notes, err := svc.store.State(ctx, importedStates)
	if note := notes[importedKey(doc)]; err == nil && note != nil {
		err = json.Unmarshal(note, &last)
	}
	if err != nil {
		err = fmt.Errorf("read which bundle was imported last: %w", err)
	}
	return last, err
}

// recordImported notes that a bundle was imported, unless a later one was.
func (svc *Service) recordImported(ctx context.Context, doc *bundle.Document) error {
	svc.numbering.Lock()
	defer svc.numbering.Unlock()
	last, err := svc.lastImported(ctx, doc)
	if err != nil || doc.Sequence < last.Sequence || doc.ID == last.ID {
		return err
	}
	note, err := json.Marshal(ImportedBundle{
		Source: doc.Source, Destination: doc.Destination, ID: doc.ID, Sequence: doc.Sequence, Created: doc.Created, Imported: time.Now().UTC(),
	})
	if err == nil {
		err = svc.store.SetState(ctx, importedStates, map[string][]byte{importedKey(doc): note})
	}
	if err != nil {
		return fmt.Errorf("note that bundle %s was imported: %w", doc.ID, err)
	}
	return nil
}

// assumed refuses a bundle that builds on what is not held.
func (in *importer) checkBase(ctx context.Context) error {
	var missing []bundle.Assumed
	var bytes uint64
	for _, a := range in.doc.Assumes {
		stored, err := in.service.isStored(ctx, a.Digest, a.Size)
		if err != nil {
			return err
		}
		if !stored {
			missing = append(missing, a)
			bytes += uint64(a.Size)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	names := make([]string, 0, len(missing))
	for _, a := range missing {
		name := a.Digest.String()
		if a.Bundle != "" {
			name += " (in bundle " + in.bundleName(a.Bundle) + ")"
		}
		names = append(names, name)
	}
	err := mirror.Errorf(mirror.CodeBlobUnknown, "bundle %s builds on content that is not held here, %s of it: %s; import the bundles that have it first, or have one made that does not leave it out",
		in.doc.ID, humanize.Bytes(bytes), joinNames(names))
	err.Detail = missing
	return err
}

// bundleName tells people more than the ID of a bundle that this one builds on, if it does.
func (in *importer) bundleName(id string) string {
	for _, o := range in.doc.BuildsOn {
		if o.ID == id {
			return fmt.Sprintf("%s, number %d of %s", id, o.Sequence, o.Created.Format(time.DateOnly))
		}
	}
	return id
}

// held reports whether d is stored with its own bytes, and has so many. What is damaged is not, so that the copy that comes
// in the bundle takes its place.
func (svc *Service) isIntact(ctx context.Context, d digest.Digest, size int64) (bool, error) {
	stored, err := svc.isStored(ctx, d, size)
	if !stored {
		return false, err
	}
	err = svc.store.Verify(ctx, d)
	if mirror.CodeOf(err) == mirror.CodeBlobUnknown {
		svc.mirror.DiscardDamaged(err)
		return false, nil
	}
	return err == nil, err
}

// isStored reports whether there is a file of d with so many bytes. What a bundle builds on can be a thousand times what is
// in it: it is not read for each bundle, but when it is served, and by a check of the store.
func (svc *Service) isStored(ctx context.Context, d digest.Digest, size int64) (bool, error) {
	got, err := svc.store.StatContent(ctx, d)
	if mirror.CodeOf(err) == mirror.CodeBlobUnknown {
		return false, nil
	}
	if err == nil && got != size {
		err = mirror.Errorf(mirror.CodeBundleInvalid, "%s has %d bytes, and is said to have %d", d, got, size)
	}
	return err == nil, err
}
