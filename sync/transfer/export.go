package transfer

import (
	"context"
	"io"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
	"airmirror/sync/bundle"
	"airmirror/sync/progress"
)

// Plan reports what a bundle would contain, image by image, and changes nothing. receipt is the receipt of the
// destination if req.Have is set. Plan never calls report concurrently, nor after it has returned.
func (svc *Service) Plan(ctx context.Context, req ExportRequest, receipt io.Reader, p *progress.Reporter, report func(Event)) (Summary, error) {
	began := time.Now()
	p.SetCurrent("reading stored images")
	plan, doc, err := svc.document(ctx, req, receipt, false)
	defer plan.release()
	if err != nil {
		return Summary{}, err
	}
	s := Summary{DryRun: true, Skipped: len(plan.skipped)}
	s.describe(doc)
	s.New = s.Bytes
	for _, a := range doc.Assumes {
		s.Bytes += a.Size
	}
	p.AddTotalItems(len(doc.Images))
	for i := range doc.Images {
		report(Event{Kind: KindImage, Image: &doc.Images[i]})
		p.AddItem()
	}
	for _, left := range plan.skipped {
		report(Event{Kind: KindSkipped, Name: left.name, Reason: left.err.Error()})
	}
	s.Duration = time.Since(began).Seconds()
	return s, nil
}

// Export writes an unsigned bundle and returns its document. The caller calls [Service.RecordExport] when the bundle is
// safely stored. If something cannot be exported, Export returns an error before it writes the first byte. After an
// error, the caller must discard the output.
func (svc *Service) Export(ctx context.Context, req ExportRequest, receipt io.Reader, out io.Writer) (*bundle.Document, error) {
	req.Verify = true
	p, doc, err := svc.document(ctx, req, receipt, true)
	defer p.release()
	if err != nil {
		return nil, err
	}
	contents, err := bundle.Compose(doc, p.load(ctx))
	if err != nil {
		return nil, err
	}
	err = bundle.Write(ctx, out, contents, func(ctx context.Context, d digest.Digest) (io.ReadCloser, error) {
		return svc.openVerified(ctx, d)
	})
	return contents.Document, err
}

// openVerified opens a blob that was verified before. It verifies the blob again if its file has changed.
func (svc *Service) openVerified(ctx context.Context, d digest.Digest) (io.ReadCloser, error) {
	blob, err := svc.store.OpenContent(ctx, d)
	if err != nil || blob.Verify == nil {
		return blob, err
	}
	if err := blob.Verify(ctx); err != nil {
		blob.Close()
		return nil, err
	}
	return blob, nil
}

// load returns a function that loads planned manifests.
func (p *planner) load(ctx context.Context) func(digest.Digest) (string, []byte, error) {
	return func(d digest.Digest) (string, []byte, error) {
		data, err := p.service.readManifest(ctx, d)
		if err != nil {
			return "", nil, err
		}
		return p.items[d].mediaType, data, nil
	}
}

// readManifest reads a stored manifest, from any repository.
func (svc *Service) readManifest(ctx context.Context, d digest.Digest) ([]byte, error) {
	blob, err := svc.store.OpenContent(ctx, d)
	if err != nil {
		return nil, err
	}
	defer blob.Close()
	if blob.Size > mirror.MaxManifestSize {
		return nil, mirror.Errorf(mirror.CodeManifestTooLarge, "%s is not a manifest: it is larger than %d bytes", d, mirror.MaxManifestSize)
	}
	data := make([]byte, blob.Size)
	if _, err := io.ReadFull(blob, data); err != nil {
		return nil, err
	}
	if d.Algorithm().FromBytes(data) != d {
		return nil, mirror.Errorf(mirror.CodeDigestInvalid, "the file of manifest %s is damaged: run 'mirror verify' to find all damage", d)
	}
	return data, nil
}

// document plans a bundle and composes its document. The caller releases the protection of the planner, also after an
// error.
func (svc *Service) document(ctx context.Context, req ExportRequest, receipt io.Reader, reserve bool) (*planner, *bundle.Document, error) {
	p, err := svc.plan(ctx, req)
	if err != nil {
		return p, nil, err
	}
	builds, err := p.applyBase(ctx, receipt)
	if err != nil {
		return p, nil, err
	}
	doc, err := p.describe(ctx)
	if err == nil && req.Verify {
		doc, err = p.verify(ctx, doc)
	}
	if err != nil {
		return p, nil, err
	}
	doc.BuildsOn = builds
	return p, doc, svc.number(ctx, doc, reserve)
}

// now returns the creation time of the bundle.
func (req ExportRequest) now() time.Time {
	if req.Created.IsZero() {
		return time.Now().UTC().Truncate(time.Second)
	}
	return req.Created.UTC().Truncate(time.Second)
}
