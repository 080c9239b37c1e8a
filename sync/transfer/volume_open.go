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
func (in *importing) openVolume(ctx context.Context, state *openImport, p *part) (err error) {
	if state.Document == "" {
		return in.openBeginning(ctx, state, p)
	}
	document, err := in.c.readDocument(ctx, state.Document)
	if err != nil {
		return err
	}
	in.reader, err = bundle.Continue(p, document, state.Signature, state.Offset, in.c.opts.Limits)
	if err == nil {
		in.doc = in.reader.Document()
	}
	return err
}

// openBeginning reads a bundle from its beginning, which earlier volumes may have.
func (in *importing) openBeginning(ctx context.Context, state *openImport, p *part) error {
	growing, err := in.c.store.ResumeBlob(ctx, "", state.Beginning)
	if mirror.CodeOf(err) == mirror.CodeBlobUploadUnknown {
		return &againError{0, err}
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
	reader, err := bundle.Open(io.MultiReader(io.NewSectionReader(before, 0, state.Beginning.Size), tee), in.c.opts.Limits)
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
	case !errors.Is(err, io.ErrUnexpectedEOF) || !p.whole || !in.req.Volume.More:
		return err
	case in.req.DryRun:
		return mirror.Errorf(mirror.CodeUnsupported, "what is in the bundle is not all said in its first volume: put the volumes together to see it")
	case state.Offset+p.size > maxBeginning:
		return mirror.Errorf(mirror.CodeBundleInvalid, "there is no document in its first %d bytes", state.Offset+p.size)
	}
	if state.Beginning, err = growing.SuspendPartial(); err != nil {
		return err
	}
	return in.next(ctx, state)
}

// keepDocument keeps the document by itself, in the place of all that came before it was there.
func (in *importing) keepDocument(ctx context.Context, state *openImport) error {
	document, signature := in.reader.Raw()
	incoming, err := in.c.store.Receive(ctx, digest.FromBytes(document))
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
func (c *Carrier) readDocument(ctx context.Context, d digest.Digest) ([]byte, error) {
	blob, err := c.store.OpenContent(ctx, d)
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

// maxBeginning is how many bytes may come before all of the document has come.
const maxBeginning = 256 << 20

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
