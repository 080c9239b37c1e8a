package bundle

import (
	"context"
	"io"

	"airmirror/mirror"
)

// Copy copies a bundle from r to w and returns its document. If sign is not nil, Copy replaces the signature by one of
// bundle.json that sign makes, so that one process can make a bundle and another one, which has the key, can sign it.
// If seen is not nil, Copy calls it with the document and the size of the output before it writes the first byte, and
// stops if seen returns an error. The bundle has to be complete. Copy does not verify the digests of manifests and
// blobs.
func Copy(ctx context.Context, w io.Writer, r io.Reader, sign func(document []byte) (signature []byte, err error), seen func(doc *Document, size int64) error) (*Document, error) {
	limits := Limits{}.withDefaults()
	in, err := unpack(streamOf(r), limits)
	if err != nil {
		return nil, err
	}
	s, err := openBundle(in, limits)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return nil, invalid("the input is not a bundle")
	}
	rest := s.members.size() - s.offset()
	if sign != nil {
		if s.signature, err = sign(s.document); err != nil {
			return nil, err
		}
		if len(s.signature) == 0 || len(s.signature) > maxSignature {
			return nil, mirror.Errorf(mirror.CodeSizeInvalid, "a signature of %d bytes does not fit into a bundle", len(s.signature))
		}
	}
	parts := membersOf(s.doc, s.document, s.signature)
	if seen != nil {
		if err := seen(s.doc, parts.size()); err != nil {
			return nil, err
		}
	}
	out := writer{w: w, buf: make([]byte, 0, bufferSize)}
	for _, p := range parts.first {
		if p.name == DockerName {
			break // the copy below contains it
		}
		if p.name == IndexName {
			p.content = s.index
		}
		if err := out.writeMember(ctx, p, nil); err != nil {
			return nil, err
		}
	}
	s.index = nil
	n, err := out.copy(ctx, in, rest)
	if err != nil {
		return nil, err
	}
	if n < rest {
		return nil, truncated(s.offset())
	}
	if err := in.end(); err != nil {
		return nil, err
	}
	return s.doc, out.flush()
}
