package bundle

import (
	"archive/tar"
	"bytes"
	"crypto/subtle"
	"io"

	"github.com/opencontainers/go-digest"
)

// sequence reads a bundle whose document is known: what has to come, to the byte, but for the content of manifests and
// blobs.
type sequence struct {
	in                  *stream
	doc                 *Document
	document, signature []byte
	index               []byte // index.json, until the bundle has been opened
	parts               parts
	part                int    // which comes now
	at                  int64  // how much of it was read
	resumed             bool   // in the middle of a part that nobody was given the rest of
	entry               *Entry // what the caller may read
	err                 error
}

func (s *sequence) kind() Kind                  { return KindBundle }
func (s *sequence) roots() ([]Root, error)      { return nil, nil }
func (s *sequence) known(*Entry, digest.Digest) {}
func (s *sequence) offset() int64               { return s.in.pos }
func (s *sequence) Close() error                { return nil }

func (s *sequence) next() (entry *Entry, err error) {
	s.entry = nil
	if s.err == nil {
		entry, s.err = s.advance()
	}
	s.entry = entry
	return entry, s.err
}

func (s *sequence) advance() (*Entry, error) {
	for ; s.part < s.parts.count(); s.part, s.at = s.part+1, 0 {
		p := s.parts.at(s.part)
		if s.at < headerSize(p.name) {
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
		if s.at < body {
			if p.listed && resumed {
				return s.entryOf(p), nil
			}
			if err := s.body(p, body-s.at); err != nil {
				return nil, err
			}
		}
		if err := s.same(make([]byte, body+padding(p.Size)-s.at), "padding after "+p.name); err != nil {
			return nil, err
		}
	}
	return nil, s.end()
}

func (s *sequence) entryOf(p part) *Entry {
	e := &Entry{Digest: p.Digest, Size: p.Size, Manifest: p.manifest, Skipped: s.at - headerSize(p.name), source: s, name: p.name}
	e.Reader = &sequenceReader{s: s, e: e}
	return e
}

// header reads what is left of a part's header.
func (s *sequence) header(p part) error {
	s.resumed = false
	want := header(p.name, p.Size)
	got := make([]byte, int64(len(want))-s.at)
	if err := s.full(got); err != nil {
		return err
	}
	if bytes.Equal(got, want[int64(len(want))-int64(len(got)):]) {
		return nil
	}
	if name, size, err := parseHeader(got); err == nil {
		return invalid("entry %d is %q with %d bytes where the list has %s with %d", s.part+1, short(name), size, p.name, p.Size)
	}
	return invalid("the header of %s is not as a bundle has it: it was changed, or is damaged, at byte %d", p.name, s.offset()-int64(len(got)))
}

// body passes over rest bytes of a part's content, and checks it if nobody else will.
func (s *sequence) body(p part, rest int64) error {
	switch {
	case p.content != nil:
		return s.same(p.content[p.Size-rest:], p.name)
	case p.listed || rest < p.Size: // skipped; or one that docker load reads, of which we saw but the end
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

// same reads what must be want.
func (s *sequence) same(want []byte, what string) error {
	got := make([]byte, len(want))
	if err := s.full(got); err != nil {
		return err
	}
	if subtle.ConstantTimeCompare(got, want) == 0 {
		return invalid("%s is not what it should be, before byte %d: the bundle was changed, or is damaged", what, s.offset())
	}
	return nil
}

// end reads the end mark, and finds nothing after it.
func (s *sequence) end() error {
	if s.at < endSize {
		if err := s.same(make([]byte, endSize-s.at), "the end mark"); err != nil {
			return err
		}
	}
	if err := s.in.end(); err != nil {
		return err
	}
	return io.EOF
}

func (s *sequence) full(p []byte) error {
	defer s.count(s.in.pos)
	return s.in.full(p)
}

// count counts what was read of the current part since the stream was at pos.
func (s *sequence) count(pos int64) { s.at += s.in.pos - pos }

// sequenceReader reads the content of an entry.
type sequenceReader struct {
	s *sequence
	e *Entry
}

func (r *sequenceReader) Read(p []byte) (int, error) {
	s := r.s
	if s.entry != r.e {
		return 0, errOver
	}
	rest := headerSize(r.e.name) + r.e.Size - s.at
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

// parseHeader reads name and size of a header that needs no further one.
func parseHeader(data []byte) (name string, size int64, err error) {
	h, err := tar.NewReader(bytes.NewReader(data)).Next()
	if err != nil {
		return "", 0, err
	}
	return h.Name, h.Size, nil
}
