package transfer

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
	"airmirror/sync/bundle"
)

// openVolume begins to read a volume. If the volumes so far do not contain the whole document, openVolume stores their
// content and leaves in.reader nil.
func (in *importer) openVolume(ctx context.Context, state *importState, p *volumeReader) (err error) {
	state.Name, state.Count = cmp.Or(in.req.Volume.Name, state.Name), max(in.req.Volume.Count, state.Count)
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

// openHead reads the bundle from its beginning. The part that earlier volumes contain is stored as a blob until the
// document is complete.
func (in *importer) openHead(ctx context.Context, state *importState, p *volumeReader) error {
	head, err := in.service.readHead(ctx, state.Head)
	if err != nil {
		return err
	}
	recorded := &recorder{r: p, data: head}
	reader, err := bundle.Open(io.MultiReader(bytes.NewReader(head), recorded), in.service.opts.Limits)
	if err == nil && reader.Document() == nil {
		if _, err = reader.Next(); err == nil || err == io.EOF {
			return mirror.Errorf(mirror.CodeUnsupported, "only uncompressed bundles of this program can be imported volume by volume: join the volumes, as in 'cat FILE.* | mirror sync --bundle -'")
		}
	}
	if err == nil {
		recorded.done = true
		in.reader, in.doc = reader, reader.Document()
		return nil
	}
	switch {
	case !errors.Is(err, io.ErrUnexpectedEOF) || !p.complete || !in.req.Volume.More:
		return err
	case in.req.DryRun:
		return mirror.Errorf(mirror.CodeUnsupported, "the first volume does not contain the whole list of contents: join the volumes to see it")
	case state.Offset+p.size > maxHead:
		return mirror.Errorf(mirror.CodeBundleInvalid, "there is no document in its first %d bytes", state.Offset+p.size)
	}
	if state.Head, err = in.storeBlob(ctx, recorded.data); err != nil {
		return err
	}
	return in.awaitNext(ctx, state)
}

// storeDocument stores the document as a separate blob, and removes the head from the state.
func (in *importer) storeDocument(ctx context.Context, state *importState) error {
	document, signature := in.reader.Raw()
	d, err := in.storeBlob(ctx, document)
	if err == nil {
		state.Document, state.Signature, state.Head = d, signature, ""
	}
	return err
}

// storeBlob stores data as a blob that belongs to no repository.
func (in *importer) storeBlob(ctx context.Context, data []byte) (digest.Digest, error) {
	incoming, err := in.service.store.Receive(ctx, digest.FromBytes(data))
	if err != nil {
		return "", err
	}
	in.protect(incoming.Digest())
	if _, err := incoming.Write(data); err != nil {
		return "", errors.Join(err, incoming.Abort())
	}
	return incoming.Digest(), incoming.Commit(ctx, mirror.Repo{})
}

// readHead reads a head that storeBlob stored, or nothing if d is "". If the head is damaged, the import has to restart.
func (svc *Service) readHead(ctx context.Context, d digest.Digest) ([]byte, error) {
	if d == "" {
		return nil, nil
	}
	data, err := svc.readDocument(ctx, d)
	if code := mirror.CodeOf(err); code == mirror.CodeDigestInvalid || code == mirror.CodeBlobUnknown {
		err = &restartError{0, err}
	}
	return data, err
}

// readDocument reads and verifies a document or head that was stored as a blob.
func (svc *Service) readDocument(ctx context.Context, d digest.Digest) ([]byte, error) {
	blob, err := svc.store.OpenContent(ctx, d)
	if err != nil {
		return nil, err
	}
	defer blob.Close()
	data, err := io.ReadAll(io.LimitReader(blob, maxDocument))
	if err == nil && d.Algorithm().FromBytes(data) != d {
		err = mirror.Errorf(mirror.CodeDigestInvalid, "the file of %s is damaged", d)
	}
	return data, err
}

const (
	// maxDocument is the maximum size of a document or head that is read again. bundle.Open accepts less.
	maxDocument = 1 << 30
	// maxHead is the maximum number of bytes of a bundle up to the end of its document.
	maxHead = 256 << 20
)

// recorder appends what is read from r to data, until done is set.
type recorder struct {
	r    io.Reader
	data []byte
	done bool
}

func (r *recorder) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	if !r.done {
		r.data = append(r.data, p[:n]...)
	}
	return n, err
}
