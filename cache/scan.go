package cache

import (
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

// A survey reads millions of records, and encoding/json takes one or two microseconds for the smallest. putRecord
// writes fields in a fixed order and without spaces, so the functions below read records field by field. A record in
// any other form is decoded by decodeRecord: the result is the same, only slower.

// fieldReader reads a record from its beginning; bad is set if the record has another form than expected.
type fieldReader struct {
	rest string
	bad  bool
}

// name skips a field's name and reports whether it was the given one; first is '{' or ','.
func (f *fieldReader) name(first byte, name string) bool {
	n := len(name)
	if len(f.rest) < n+4 || f.rest[0] != first || f.rest[1] != '"' || f.rest[2:2+n] != name || f.rest[2+n:4+n] != `":` {
		return false
	}
	f.rest = f.rest[n+4:]
	return true
}

// need is name for a field that is always present.
func (f *fieldReader) need(first byte, name string) {
	if !f.name(first, name) {
		f.bad = true
	}
}

func (f *fieldReader) skip(c byte) bool {
	if f.rest == "" || f.rest[0] != c {
		return false
	}
	f.rest = f.rest[1:]
	return true
}

// end reports whether the record was read completely and without errors.
func (f *fieldReader) end() bool { return !f.bad && f.rest == "}" }

// text reads a string of printable ASCII without escapes.
func (f *fieldReader) text() string {
	if !f.skip('"') {
		f.bad = true
		return ""
	}
	for i := range len(f.rest) {
		switch c := f.rest[i]; {
		case c == '"':
			text := f.rest[:i]
			f.rest = f.rest[i+1:]
			return text
		case c == '\\' || c < ' ' || c >= 0x80:
			f.bad = true
			return ""
		}
	}
	f.bad = true
	return ""
}

// number reads a non-negative number.
func (f *fieldReader) number() (n int64) {
	i := 0
	for i < len(f.rest) && f.rest[i] >= '0' && f.rest[i] <= '9' {
		n = n*10 + int64(f.rest[i]-'0')
		i++
	}
	if i == 0 || i > 18 || i > 1 && f.rest[0] == '0' {
		f.bad = true
	}
	f.rest = f.rest[i:]
	return n
}

func (f *fieldReader) time() (at time.Time) {
	if err := at.UnmarshalText([]byte(f.text())); err != nil {
		f.bad = true
	}
	return at
}

// digests appends a list of digests to list.
func (f *fieldReader) digests(list []digest.Digest) []digest.Digest {
	if !f.skip('[') {
		f.bad = true
	}
	for more := !f.bad; more; more = f.skip(',') && !f.bad {
		list = append(list, digest.Digest(f.text()))
	}
	if !f.skip(']') {
		f.bad = true
	}
	return list
}

func scanBlob(k string, value []byte) (r blobRecord, err error) {
	f := fieldReader{rest: string(value)}
	f.need('{', "size")
	r.Size = f.number()
	f.need(',', "added")
	r.Added = f.time()
	if f.end() {
		return r, nil
	}
	return decodeRecord[blobRecord](tableBlobs, k, value)
}

func scanLink(k string, value []byte) (r linkRecord, err error) {
	f := fieldReader{rest: string(value)}
	f.need('{', "added")
	r.Added = f.time()
	if f.name(',', "used") {
		r.Used = f.time()
	}
	switch f.rest {
	case `,"announced":true}`:
		r.Announced, f.rest = true, "}"
	case `,"sent":true}`:
		r.Sent, f.rest = true, "}"
	}
	if f.end() {
		return r, nil
	}
	return decodeRecord[linkRecord](tableLinks, k, value)
}

func scanRecency(k string, value []byte) (r recencyRecord, err error) {
	f := fieldReader{rest: string(value)}
	f.need('{', "used")
	r.Used = f.time()
	if f.end() {
		return r, nil
	}
	return decodeRecord[recencyRecord](tableRecency, k, value)
}

func scanTag(k string, value []byte) (r tagRecord, err error) {
	f := fieldReader{rest: string(value)}
	f.need('{', "digest")
	r.Digest = digest.Digest(f.text())
	f.need(',', "origin")
	r.Origin = mirror.Origin(f.text())
	f.need(',', "updated")
	r.Updated = f.time()
	if f.name(',', "checked") {
		r.Checked = f.time()
	}
	if f.end() {
		return r, nil
	}
	return decodeRecord[tagRecord](tableTags, k, value)
}

// scanManifest decodes into r and reuses its lists.
func scanManifest(k string, value []byte, r *manifestRecord) (err error) {
	*r = manifestRecord{Blobs: r.Blobs[:0], Children: r.Children[:0], Owned: r.Owned[:0]}
	f := fieldReader{rest: string(value)}
	f.need('{', "mediaType")
	r.MediaType = f.text()
	f.need(',', "size")
	r.Size = f.number()
	f.need(',', "origin")
	r.Origin = mirror.Origin(f.text())
	f.need(',', "added")
	r.Added = f.time()
	if f.name(',', "artifactType") {
		r.ArtifactType = f.text()
	}
	if f.name(',', "subject") {
		r.Subject = digest.Digest(f.text())
	}
	if f.name(',', "blobs") {
		r.Blobs = f.digests(r.Blobs)
	}
	if f.name(',', "children") {
		r.Children = f.digests(r.Children)
	}
	if f.name(',', "owned") {
		r.Owned = f.digests(r.Owned)
	}
	if f.end() {
		return nil
	}
	*r, err = decodeRecord[manifestRecord](tableManifests, k, value)
	return err
}
