package transfer

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
	"airmirror/sync/bundle"
)

// preflight checks a bundle before anything is changed: its signature, its consistency, its destination, its age and
// its base. It finds out which content is missing here.
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
	for d, size := range entriesOf(in.doc) {
		intact, err := in.service.isIntact(ctx, d, size)
		if err != nil {
			return err
		}
		if !intact {
			in.missing[d] = true
			if in.req.DryRun {
				in.added[d] = size
			}
		}
	}
	in.AddTotalItems(len(in.doc.Images))
	read := s.Bytes
	if in.req.Volume != nil {
		read = in.req.Volume.Size
	}
	in.AddTotal(read)
	if in.req.DryRun {
		return in.preview(ctx)
	}
	if len(in.missing) == 0 {
		in.AddDone(read)
	}
	return nil
}

// verify verifies the signature, if there is one and a key to verify it with. It returns an error if a signature is
// required and missing. signature is nil for archives that are not bundles.
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
		return "", mirror.Errorf(mirror.CodeDenied, "it is not signed, and this import requires a signature by a trusted key: export it again with --sign")
	case verifier == nil && needed:
		return "", mirror.Errorf(mirror.CodeDenied, "its signature cannot be verified: no key is trusted, pass one with --verify or set it in the configuration")
	case signature == nil || verifier == nil:
		return "", nil
	}
	keyID, err = verifier.Verify(document, signature)
	if err != nil {
		return "", mirror.Errorf(mirror.CodeDenied, "bundle %s is rejected: %w", in.doc.ID, err)
	}
	return keyID, nil
}

// checkDestination rejects a bundle for another destination.
func (in *importer) checkDestination() error {
	own, to := in.service.opts.Destination, in.doc.Destination
	if own == "" || to == "" || own == to || in.req.AnyDestination {
		return nil
	}
	return mirror.Errorf(mirror.CodeDenied, "bundle %s is for %s, and this mirror is %s: --any-destination imports it anyway", in.doc.ID, to, own)
}

// checkAge rejects a bundle that is older than an imported bundle of the same source. For the same destination, it
// compares the numbers; for different destinations, the creation times. It also notices whether the bundle was imported
// before.
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

// olderError returns the error for a bundle that is older than an imported one.
func (in *importer) olderError(than ImportedBundle) error {
	to := ""
	if than.Destination != in.doc.Destination {
		to = " for " + cmp.Or(than.Destination, "any destination")
	}
	return mirror.Errorf(mirror.CodeDenied, "bundle %s is number %d of %s, created %s, but number %d%s, created %s, was imported already: importing the older one would restore old tags; --allow-older imports it anyway",
		in.doc.ID, in.doc.Sequence, in.doc.Source, in.doc.Created.Format(time.RFC3339), than.Sequence, to, than.Created.Format(time.RFC3339))
}

func importedKey(doc *bundle.Document) string { return doc.Source + "/" + doc.Destination }

// lastImported returns the last bundle that was imported from the source of doc for the same destination, or the zero
// value.
func (svc *Service) lastImported(ctx context.Context, doc *bundle.Document) (last ImportedBundle, err error) {
	states, err := svc.store.State(ctx, importedStates)
	if value := states[importedKey(doc)]; err == nil && value != nil {
		err = json.Unmarshal(value, &last)
	}
	if err != nil {
		err = fmt.Errorf("read the last imported bundle: %w", err)
	}
	return last, err
}

// recordImported records that a bundle was imported, unless a later one was.
func (svc *Service) recordImported(ctx context.Context, doc *bundle.Document) error {
	svc.numbering.Lock()
	defer svc.numbering.Unlock()
	last, err := svc.lastImported(ctx, doc)
	if err != nil || doc.Sequence < last.Sequence || doc.ID == last.ID {
		return err
	}
	value, err := json.Marshal(ImportedBundle{
		Source: doc.Source, Destination: doc.Destination, ID: doc.ID, Sequence: doc.Sequence, Created: doc.Created, Imported: time.Now().UTC(),
	})
	if err == nil {
		err = svc.store.SetState(ctx, importedStates, map[string][]byte{importedKey(doc): value})
	}
	if err != nil {
		return fmt.Errorf("record the import of bundle %s: %w", doc.ID, err)
	}
	return nil
}

// checkBase rejects a bundle if content that it assumes is not stored.
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
	err := mirror.Errorf(mirror.CodeBlobUnknown, "bundle %s needs %s of content that is not stored: %s",
		in.doc.ID, humanize.IBytes(bytes), in.baseAdvice(ctx, missing))
	err.Detail = missing
	return err
}

// baseAdvice says which bundles contain missing content, each once, and how they are imported.
func (in *importer) baseAdvice(ctx context.Context, missing []bundle.Assumed) string {
	var names []string
	older := false
	last, _ := in.service.lastImported(ctx, in.doc) // decides about the advice only
	for _, a := range missing {
		name := in.bundleName(a.Bundle)
		if a.Bundle == "" || slices.Contains(names, name) {
			continue
		}
		names = append(names, name)
		for _, o := range in.doc.BuildsOn {
			older = older || o.ID == a.Bundle && o.Sequence < last.Sequence
		}
	}
	switch {
	case len(names) == 0:
		return "it was exported for a mirror with another receipt: export again with --have and a receipt of this mirror"
	case older:
		return fmt.Sprintf("import %s first, with --allow-older as number %d was imported already, or export again without --since", joinNames(names), last.Sequence)
	}
	return fmt.Sprintf("import %s first, or export again without --since", joinNames(names))
}

// bundleName describes a base of the bundle by its number.
func (in *importer) bundleName(id string) string {
	for _, o := range in.doc.BuildsOn {
		if o.ID == id {
			return fmt.Sprintf("number %d of %s (bundle %s)", o.Sequence, o.Created.Format(time.DateOnly), id)
		}
	}
	return "bundle " + id
}

// isIntact reports whether d is stored, has that size and is undamaged. If d is damaged, isIntact quarantines it, so
// that the copy of the archive replaces it.
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

// isStored reports whether d is stored with that size. It does not read the content: the base of a bundle can be a
// thousand times as large as the bundle, and it is verified when it is served and by checks of the store.
func (svc *Service) isStored(ctx context.Context, d digest.Digest, size int64) (bool, error) {
	got, err := svc.store.StatContent(ctx, d)
	if mirror.CodeOf(err) == mirror.CodeBlobUnknown {
		return false, nil
	}
	if err == nil && got != size {
		err = mirror.Errorf(mirror.CodeBundleInvalid, "%s has %d bytes, and its descriptor says %d", d, got, size)
	}
	return err == nil, err
}
