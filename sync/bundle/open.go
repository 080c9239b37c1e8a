package bundle

import (
	"bytes"
	"io"
)

// Open begins to read a bundle, or another archive of images, in a tar, by itself or compressed by gzip, zstd, xz or
// bzip2. It reads what it must to tell what it is: of a bundle everything up to its document and signature, which are checked.
//
// An archive that is malformed is a [mirror.CodeBundleInvalid] here and in all that the reader does; where it ends
// early, the cause is io.ErrUnexpectedEOF. An error of r comes back as it is.
//
// If r can seek, and is not compressed, entries that nobody reads are not read.
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

// Continue goes on reading a bundle with this document and signature (nil if it has none) at an offset, as
// [Reader.Offset] gave it: r begins there. In the middle of an entry, the first one that comes is the rest of it; one
// that was read to its end does not come again, with all of its padding still to come or not.
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
		return nil, invalid("there is no byte %d in the bundle", offset)
	}
	return &Reader{s}, nil
}

// openBundle reads in up to the signature, or up to where the document would be. If it is not a bundle it returns nil,
// with everything in to be read again.
func openBundle(in *stream, limits Limits) (*bundleSource, error) {
	var past []byte // what was read
	take := func(n int64) []byte {
		start := len(past)
		past = append(past, make([]byte, n)...)
		got, err := io.ReadFull(in, past[start:])
		past = past[:start+got]
		if err != nil {
			return nil
		}
		return past[start:]
	}
	again := func() (*bundleSource, error) {
		if in.failed != nil {
			return nil, in.explain(in.failed)
		}
		in.unread(past)
		return nil, nil
	}
	layout := append(header(LayoutName, int64(len(LayoutJSON))), LayoutJSON...)
	layout = append(layout, make([]byte, padding(int64(len(layout))))...)
	if head := take(block); !bytes.Equal(head, layout[:block]) {
		return again()
	}
	if rest := take(int64(len(layout) - block)); !bytes.Equal(rest, layout[block:]) {
		return again()
	}
	name, size, err := parseHeader(take(block))
	if err != nil || name != IndexName || size > limits.Index || !bytes.Equal(past[len(layout):], header(name, size)) {
		return again()
	}
	index := take(size + padding(size))
	if index == nil {
		return again()
	}
	head := take(block)
	name, length, err := parseHeader(head)
	if err != nil || name != DocumentName || !bytes.Equal(head, header(name, length)) {
		return again()
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

// readDocument reads bundle.json, whose header has been read.
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

// readSignature reads bundle.json.minisig, if that comes now.
func (s *bundleSource) readSignature() error {
	head := make([]byte, block)
	if err := s.in.full(head); err != nil {
		return err
	}
	if name, size, err := parseHeader(head); err != nil || name != SignatureName {
		s.in.unread(head)
	} else if !bytes.Equal(head, header(name, size)) || size == 0 {
		return invalid("the header of %s is not as a bundle has it", SignatureName)
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
