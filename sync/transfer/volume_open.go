package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
	"airmirror/sync/bundle"
)

// openVolume begins to read a volume. There is no reader if it has not all of the document, and was put aside.
func (in *importer) openVolume(ctx context.Context, state *importState, p *volumeReader) (err error) {
	if state.Document == "" {
		return in.openHead(ctx, state, p)
	}
	document, err := in.service.readDocument(ctx, state.Document)
	if err != nil {
		return err
	}
	in.reader, err = bundle.Continue(p, document, state.Signature, state.Offset, in.service.opts.Limits)
	if err == nil {
		in.doc = in.reader.Document()
	}
	return err
}

// openHead reads a bundle from its beginning, which earlier volumes may have.
func (in *importer) openHead(ctx context.Context, state *importState, p *volumeReader) error {
	growing, err := in.service.store.ResumeBlob(ctx, "", state.Beginning)
	if mirror.CodeOf(err) == mirror.CodeBlobUploadUnknown {
		return &restartError{0, err}
	}
	if err != nil {
		return err
	}
	defer growing.Abort() //nolint:errcheck // what is left is cut off or dropped when it is gone on with, or with the next start
	before, err := growing.Tail()
	if err != nil {
		return err
	}
	defer before.Close()
	tee := &tee{r: p, w: growing}
	reader, err := bundle.Open(io.MultiReader(io.NewSectionReader(before, 0, state.Beginning.Size), tee), in.service.opts.Limits)
	if err == nil && reader.Document() == nil {
		if _, err = reader.Next(); err == nil || err == io.EOF {
			return mirror.Errorf(mirror.CodeUnsupported, "only bundles of this program, and not compressed ones, come in volumes: put them together again, as in 'cat FILE.* | mirror sync --bundle -'")
		}
	}
	if err == nil {
		tee.w = nil
		in.reader, in.doc = reader, reader.Document()
		return nil
	}
	switch {
	case !errors.Is(err, io.ErrUnexpectedEOF) || !p.complete || !in.req.Volume.More:
		return err
	case in.req.DryRun:
		return mirror.Errorf(mirror.CodeUnsupported, "what is in the bundle is not all said in its first volume: put the volumes together to see it")
	case state.Offset+p.size > maxHead:
		return mirror.Errorf(mirror.CodeBundleInvalid, "there is no document in its first %d bytes", state.Offset+p.size)
	}
	if state.Beginning, err = growing.SuspendPartial(); err != nil {
		return err
	}
	return in.awaitNext(ctx, state)
}

// storeDocument keeps the document by itself, in the place of all that came before it was there.
func (in *importer) storeDocument(ctx context.Context, state *importState) error {
	document, signature := in.reader.Raw()
	incoming, err := in.service.store.Receive(ctx, digest.FromBytes(document))
	if err != nil {
		return err
	}
	in.protect(incoming.Digest())
	if _, err := incoming.Write(document); err != nil {
		return errors.Join(err, incoming.Abort())
	}
	if err := incoming.Commit(ctx, mirror.Repo{}); err != nil {
		return err
	}
	state.Document, state.Signature, state.Beginning = incoming.Digest(), signature, mirror.PartialBlob{}
	return nil
}

// readDocument reads a document that was kept, and verifies it.
func (svc *Service) readDocument(ctx context.Context, d digest.Digest) ([]byte, error) {
	blob, err := svc.store.OpenContent(ctx, d)
	if err != nil {
		return nil, err
	}
	defer blob.Close()
	data, err := io.ReadAll(io.LimitReader(blob, maxDocument))
	if err == nil && d.Algorithm().FromBytes(data) != d {
		err = fmt.Errorf("the file of %s is damaged", d)
	}
	return data, err
}

// maxDocument is how large a document may be to be read again: more than any that could be read the first time.
const maxDocument = 1 << 30

// maxHead is how many bytes may come before all of the document has come.
const maxHead = 256 << 20

// tee writes what is read to w, as long as there is one.
type tee struct {
	r io.Reader
	w io.Writer
}

func (t *tee) Read(p []byte) (int, error) {
	n, err := t.r.Read(p)
	if t.w != nil && n > 0 {
		if _, err := t.w.Write(p[:n]); err != nil {
			return n, err
		}
	}
	return n, err
}
