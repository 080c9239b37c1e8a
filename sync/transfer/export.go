package transfer

import (
	"context"
	"io"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
	"airmirror/sync/bundle"
)

// Plan tells what a bundle would carry, image by image, and changes nothing. receipt is the other side's, if the request
// says that there is one. tell is never called twice at the same time, nor after Plan has returned.
func (svc *Service) Plan(ctx context.Context, req ExportRequest, receipt io.Reader, tell func(Event)) (Summary, error) {
	t := newReporter(tell)
	defer t.Close()
	t.Doing("looking at what is held")
	p, doc, err := svc.document(ctx, req, receipt, false)
	defer p.release()
	if err != nil {
		return Summary{}, err
	}
	s := Summary{DryRun: true, Skipped: len(p.skipped)}
	s.describe(doc)
	s.New = s.Bytes
	for _, a := range doc.Assumes {
		s.Bytes += a.Size
	}
	t.report(Event{Kind: KindPlan, Images: len(doc.Images), Total: s.New})
	for i := range doc.Images {
		t.report(Event{Kind: KindImage, Image: &doc.Images[i]})
	}
	for _, left := range p.skipped {
		t.report(Event{Kind: KindSkipped, Name: left.name, Reason: left.err.Error()})
	}
	t.reportSummary(&s)
	return s, nil
}

// Export writes a bundle, unsigned, and returns its document. When it is safely where it belongs, call [Service.Exported].
// What cannot be exported is an error before the first byte; after it, an error means that what was written is useless.
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

// openVerified opens what was verified before. It is read again if its file is not the same any more.
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

// load returns manifests that were planned.
func (p *planner) load(ctx context.Context) func(digest.Digest) (string, []byte, error) {
	return func(d digest.Digest) (string, []byte, error) {
		data, err := p.service.readManifest(ctx, d)
		if err != nil {
			return "", nil, err
		}
		return p.items[d].mediaType, data, nil
	}
}

// readManifest reads a manifest that is held, in whatever repository.
func (svc *Service) readManifest(ctx context.Context, d digest.Digest) ([]byte, error) {
	blob, err := svc.store.OpenContent(ctx, d)
	if err != nil {
		return nil, err
	}
	defer blob.Close()
	if blob.Size > mirror.MaxManifestSize {
		return nil, mirror.Errorf(mirror.CodeManifestTooLarge, "%s is no manifest: it is larger than %d bytes", d, mirror.MaxManifestSize)
	}
	data := make([]byte, blob.Size)
	if _, err := io.ReadFull(blob, data); err != nil {
		return nil, err
	}
	if d.Algorithm().FromBytes(data) != d {
		return nil, mirror.Errorf(mirror.CodeDigestInvalid, "the file of manifest %s is damaged: 'mirror verify' finds what else is", d)
	}
	return data, nil
}

// document plans a bundle and describes it. The caller releases what the planner protects.
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

// now is when a bundle is made, as it says.
func (req ExportRequest) now() time.Time {
	if req.Created.IsZero() {
		return time.Now().UTC().Truncate(time.Second)
	}
	return req.Created.UTC().Truncate(time.Second)
}
