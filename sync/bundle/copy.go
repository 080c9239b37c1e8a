package bundle

import (
	"context"
	"io"

	"airmirror/mirror"
)

// Copy passes a bundle on. sign, unless it is nil, signs bundle.json, in place of who did before: so a bundle can be made
// by one process and signed by another, which has the key. seen, unless it is nil, is then called with the document and
// the size of what will be written, before the first byte is; its error ends it. The bundle has to be whole; that manifests and blobs are what they are called is not verified.
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
		return nil, invalid("what is to be passed on is no bundle")
	}
	rest := s.members.size() - s.offset()
	if sign != nil {
		if s.signature, err = sign(s.document); err != nil {
			return nil, err
		}
		if len(s.signature) == 0 || len(s.signature) > maxSignature {
			return nil, mirror.Errorf(mirror.CodeSizeInvalid, "a signature of %d bytes cannot be in a bundle", len(s.signature))
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
			break // it comes with the rest
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
