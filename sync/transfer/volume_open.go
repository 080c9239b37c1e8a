package transfer

import (
	"context"
	"errors"
	"io"

	"airmirror/mirror"
	"airmirror/sync/bundle"
)

// openVolume begins to read a volume. There is no reader if it has not all of the document, and was put aside.
func (in *importing) openVolume(ctx context.Context, state *openImport, p *part) (err error) {
	if state.Document == "" {
		return in.openBeginning(ctx, state, p)
	}
	document, err := in.c.readPiece(ctx, state.Document)
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
	copied, err := in.c.store.Receive(ctx, "")
	if err != nil {
		return err
	}
	defer copied.Abort() //nolint:errcheck // what is left is dropped with the next start
	tee := &tee{r: p, w: copied}
	pieces, err := in.c.openPieces(ctx, state.Beginning)
	if err != nil {
		return err
	}
	defer pieces.Close()
	reader, err := bundle.Open(io.MultiReader(pieces, tee), in.c.opts.Limits)
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
	if err := copied.Commit(ctx, mirror.Repo{}); err != nil {
		return err
	}
	in.protect(copied.Digest())
	state.Beginning = append(state.Beginning, piece{copied.Digest(), p.size})
	return in.next(ctx, state)
}

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
