package bundle

import (
	"bytes"
	"io"
)

// Open returns a Reader for a bundle or another archive of images, in a tar that may be compressed with gzip, zstd, xz
// or bzip2. It reads the beginning of the archive: of a bundle everything up to the document and the signature.
//
// For an invalid archive, Open and the Reader return errors with the code [mirror.CodeBundleInvalid]. If the archive is
// truncated, the error wraps io.ErrUnexpectedEOF. Errors of r are returned unchanged.
//
// If r is an io.Seeker and the archive is not compressed, entries that the caller does not read are skipped by seeking.
func Open(r io.Reader, limits Limits) (*Reader, error) {
	limits = limits.withDefaults()
	in, err := unpack(streamOf(r), limits)
	if err != nil {
		return nil, err
	}
	s, err := openBundle(in, limits)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return &Reader{newArchive(in, limits)}, nil
	}
	s.index = nil
	return &Reader{s}, nil
}

// Continue returns a Reader that continues to read a bundle at an offset that [Reader.Offset] returned. r begins at
// that offset. document and signature are those of the bundle; signature is nil if it has none. If the offset is inside
// an entry, the first entry is the rest of it.
func Continue(r io.Reader, document, signature []byte, offset int64, limits Limits) (*Reader, error) {
	doc, err := readDocument(document, limits.withDefaults())
	if err != nil {
		return nil, err
	}
	s := &bundleSource{in: streamOf(r), doc: doc, document: document,
		members: membersOf(doc, document, signature), memberOffset: offset, resumed: true}
	if len(signature) > 0 {
		s.signature = signature
	}
	s.in.pos = offset
	for ; s.memberIndex < s.members.count(); s.memberIndex++ {
		length := s.members.at(s.memberIndex).length()
		if s.memberOffset < length {
			break
		}
		s.memberOffset -= length
	}
	if offset < 0 || s.memberIndex == s.members.count() && s.memberOffset > endSize {
		return nil, invalid("the bundle has no byte %d", offset)
	}
	return &Reader{s}, nil
}

// openBundle reads the archive up to the signature of the document. If the archive is not a bundle, it returns nil and
// unreads everything.
func openBundle(in *stream, limits Limits) (*bundleSource, error) {
	var consumed []byte // bytes that were read
	take := func(n int64) []byte {
		start := len(consumed)
		consumed = append(consumed, make([]byte, n)...)
		got, err := io.ReadFull(in, consumed[start:])
		consumed = consumed[:start+got]
		if err != nil {
			return nil
		}
		return consumed[start:]
	}
	notBundle := func() (*bundleSource, error) {
		if in.failed != nil {
			return nil, in.explain(in.failed)
		}
		in.unread(consumed)
		return nil, nil
	}
	layout := append(header(LayoutName, int64(len(LayoutJSON))), LayoutJSON...)
	layout = append(layout, make([]byte, padding(int64(len(layout))))...)
	if head := take(block); !bytes.Equal(head, layout[:block]) {
		return notBundle()
	}
	if rest := take(int64(len(layout) - block)); !bytes.Equal(rest, layout[block:]) {
		return notBundle()
	}
	name, size, err := parseHeader(take(block))
	if err != nil || name != IndexName || size > limits.Index || !bytes.Equal(consumed[len(layout):], header(name, size)) {
		return notBundle()
	}
	index := take(size + padding(size))
	if index == nil {
		return notBundle()
	}
	head := take(block)
	name, length, err := parseHeader(head)
	if err != nil || name != DocumentName || !bytes.Equal(head, header(name, length)) {
		return notBundle()
	}
	s := &bundleSource{in: in, index: index[:size]}
	if err := s.readDocument(length, limits); err != nil {
		return nil, err
	}
	if s.doc.Files[IndexName] != fileOf(s.index) || !bytes.Equal(index[size:], zeroBlock[:padding(size)]) {
		return nil, invalid("%s is not the file that %s lists", IndexName, DocumentName)
	}
	return s, s.readSignature()
}

// readDocument reads bundle.json, whose header was read.
func (s *bundleSource) readDocument(size int64, limits Limits) error {
	var err error
	if s.document, err = read(s.in, DocumentName, size, limits.Document); err != nil {
		return s.in.explain(err)
	}
	if s.doc, err = readDocument(s.document, limits); err != nil {
		return err
	}
	return s.expect(make([]byte, padding(size)), "padding after "+DocumentName)
}

// readSignature reads bundle.json.minisig if it is the next entry.
func (s *bundleSource) readSignature() error {
	head := make([]byte, block)
	if err := s.in.full(head); err != nil {
		return err
	}
	if name, size, err := parseHeader(head); err != nil || name != SignatureName {
		s.in.unread(head)
	} else if !bytes.Equal(head, header(name, size)) || size == 0 {
		return invalid("the header of %s does not have the format of a bundle", SignatureName)
	} else if s.signature, err = read(s.in, SignatureName, size, maxSignature); err != nil {
		return s.in.explain(err)
	} else if err := s.expect(make([]byte, padding(size)), "padding after "+SignatureName); err != nil {
		return err
	}
	s.members = membersOf(s.doc, s.document, s.signature)
	s.memberIndex, s.memberOffset = 3, 0
	if s.signature != nil {
		s.memberIndex++
	}
	return nil
}
