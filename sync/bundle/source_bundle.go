package bundle

import (
	"archive/tar"
	"bytes"
	"crypto/subtle"
	"io"

	"github.com/opencontainers/go-digest"
)

// bundleSource reads a bundle whose document is known. The document determines every byte, except for the content of
// manifests and blobs.
type bundleSource struct {
	in                  *stream
	doc                 *Document
	document, signature []byte
	index               []byte // index.json; nil once the bundle is open
	members             members
	memberIndex         int    // the current member
	memberOffset        int64  // number of bytes of the current member that were read
	resumed             bool   // Continue began inside the current member
	entry               *Entry // the entry that the caller may read
	err                 error
}

func (s *bundleSource) kind() Kind                      { return KindBundle }
func (s *bundleSource) roots() ([]Root, error)          { return nil, nil }
func (s *bundleSource) setDigest(*Entry, digest.Digest) {}
func (s *bundleSource) offset() int64                   { return s.in.pos }
func (s *bundleSource) Close() error                    { return nil }

func (s *bundleSource) next() (entry *Entry, err error) {
	s.entry = nil
	if s.err == nil {
		entry, s.err = s.advance()
	}
	s.entry = entry
	return entry, s.err
}

func (s *bundleSource) advance() (*Entry, error) {
	for ; s.memberIndex < s.members.count(); s.memberIndex, s.memberOffset = s.memberIndex+1, 0 {
		p := s.members.at(s.memberIndex)
		if s.memberOffset < headerSize(p.name) {
			if err := s.header(p); err != nil {
				return nil, err
			}
			if p.listed {
				return s.entryOf(p), nil
			}
		}
		resumed := s.resumed
		s.resumed = false
		body := headerSize(p.name) + p.Size
		if s.memberOffset < body {
			if p.listed && resumed {
				return s.entryOf(p), nil
			}
			if err := s.body(p, body-s.memberOffset); err != nil {
				return nil, err
			}
		}
		if err := s.expect(make([]byte, body+padding(p.Size)-s.memberOffset), "padding after "+p.name); err != nil {
			return nil, err
		}
	}
	return nil, s.end()
}

func (s *bundleSource) entryOf(p member) *Entry {
	e := &Entry{Digest: p.Digest, Size: p.Size, Manifest: p.manifest, Skipped: s.memberOffset - headerSize(p.name), source: s, name: p.name}
	e.Reader = &bundleEntryReader{s: s, e: e}
	return e
}

// header reads the rest of the header of a member.
func (s *bundleSource) header(p member) error {
	s.resumed = false
	want := header(p.name, p.Size)
	got := make([]byte, int64(len(want))-s.memberOffset)
	if err := s.full(got); err != nil {
		return err
	}
	if bytes.Equal(got, want[int64(len(want))-int64(len(got)):]) {
		return nil
	}
	if name, size, err := parseHeader(got); err == nil {
		return invalid("entry %d is %q with %d bytes where the list has %s with %d", s.memberIndex+1, short(name), size, p.name, p.Size)
	}
	return invalid("the header of %s at byte %d does not have the format of a bundle: the bundle was changed or is damaged", p.name, s.offset()-int64(len(got)))
}

// body skips the remaining rest bytes of the content of a member. It verifies content that the caller does not see.
func (s *bundleSource) body(p member, rest int64) error {
	switch {
	case p.content != nil:
		return s.expect(p.content[p.Size-rest:], p.name)
	case p.listed || rest < p.Size: // skipped, or manifest.json after Continue
		defer s.count(s.in.pos)
		return s.in.skip(rest)
	}
	verifier := p.Digest.Verifier()
	defer s.count(s.in.pos)
	if _, err := io.CopyN(verifier, s.in, rest); err != nil {
		return s.in.explain(err)
	}
	if !verifier.Verified() {
		return invalid("%s is not the file with digest %s that %s lists", p.name, p.Digest, DocumentName)
	}
	return nil
}

// expect reads bytes and returns an error unless they are equal to want.
func (s *bundleSource) expect(want []byte, what string) error {
	got := make([]byte, len(want))
	if err := s.full(got); err != nil {
		return err
	}
	if subtle.ConstantTimeCompare(got, want) == 0 {
		return invalid("%s is wrong before byte %d: the bundle was changed or is damaged", what, s.offset())
	}
	return nil
}

// end reads the end mark and returns io.EOF if nothing follows.
func (s *bundleSource) end() error {
	if s.memberOffset < endSize {
		if err := s.expect(make([]byte, endSize-s.memberOffset), "the end mark"); err != nil {
			return err
		}
	}
	if err := s.in.end(); err != nil {
		return err
	}
	return io.EOF
}

func (s *bundleSource) full(p []byte) error {
	defer s.count(s.in.pos)
	return s.in.full(p)
}

// count adds the number of bytes that were read since position pos of the stream to the offset in the member.
func (s *bundleSource) count(pos int64) { s.memberOffset += s.in.pos - pos }

// bundleEntryReader reads the content of an entry.
type bundleEntryReader struct {
	s *bundleSource
	e *Entry
}

func (r *bundleEntryReader) Read(p []byte) (int, error) {
	s := r.s
	if s.entry != r.e {
		return 0, errEntryClosed
	}
	rest := headerSize(r.e.name) + r.e.Size - s.memberOffset
	if rest == 0 {
		return 0, io.EOF
	}
	defer s.count(s.in.pos)
	n, err := s.in.Read(p[:min(int64(len(p)), rest)])
	if err == io.EOF && int64(n) == rest {
		return n, nil
	}
	return n, s.in.explain(err)
}

// parseHeader returns the name and size of a header of one block.
func parseHeader(data []byte) (name string, size int64, err error) {
	h, err := tar.NewReader(bytes.NewReader(data)).Next()
	if err != nil {
		return "", 0, err
	}
	return h.Name, h.Size, nil
}
