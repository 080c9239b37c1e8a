package bundle

import (
	"archive/tar"
	"bytes"
	"time"

	"github.com/opencontainers/go-digest"
)

const (
	block   = 512       // size of a tar block
	endSize = 2 * block // the two zero blocks at the end
	// maxUSTAR is the largest size that a ustar header can contain.
	maxUSTAR = 1<<33 - 1
)

// blobName returns the name of the entry with digest d.
func blobName(d digest.Digest) string {
	return "blobs/" + d.Algorithm().String() + "/" + d.Encoded()
}

// header returns the header of an entry. It uses the GNU format for large sizes and for the long names of sha512
// digests. Unlike PAX, the GNU format has no records that could override other headers, and needs no further block for
// a large size, so that the offset of an entry can be computed.
func header(name string, size int64) []byte {
	h := tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o644, ModTime: time.Unix(0, 0), Format: tar.FormatUSTAR}
	if size > maxUSTAR || len(name) > 100 {
		h.Format = tar.FormatGNU
	}
	var buf bytes.Buffer
	if err := tar.NewWriter(&buf).WriteHeader(&h); err != nil {
		panic(err) // names and sizes are checked
	}
	return buf.Bytes()
}

// headerSize returns the size of a header in bytes.
func headerSize(name string) int64 {
	if len(name) > 100 {
		return 3 * block // two more for the long name
	}
	return block
}

// padding returns the number of bytes that fill the last block of an entry.
func padding(size int64) int64 { return -size & (block - 1) }

// member is an entry of the tar of a bundle.
type member struct {
	name string
	File
	content  []byte // nil if unknown; known for oci-layout, bundle.json and its signature
	listed   bool   // listed in Document.Manifests or Document.Blobs
	manifest bool
}

// length returns the size of the member in the tar, with header and padding.
func (m member) length() int64 { return headerSize(m.name) + m.Size + padding(m.Size) }

// members are the members of a bundle in order. They follow from its document, as encoded in bundle.json, and its
// signature.
type members struct {
	first []member // members other than manifests and blobs
	doc   *Document
}

func membersOf(doc *Document, document, signature []byte) members {
	p := members{doc: doc}
	add := func(name string, content []byte) {
		p.first = append(p.first, member{name: name, File: File{Size: int64(len(content))}, content: content})
	}
	add(LayoutName, []byte(LayoutJSON))
	p.first = append(p.first, member{name: IndexName, File: doc.Files[IndexName]})
	add(DocumentName, document)
	if len(signature) > 0 {
		add(SignatureName, signature)
	}
	if docker, ok := doc.Files[DockerName]; ok {
		p.first = append(p.first, member{name: DockerName, File: docker})
	}
	return p
}

func (m members) count() int { return len(m.first) + len(m.doc.Manifests) + len(m.doc.Blobs) }

func (m members) at(i int) member {
	if i < len(m.first) {
		return m.first[i]
	}
	if i -= len(m.first); i < len(m.doc.Manifests) {
		file := m.doc.Manifests[i].File
		return member{name: blobName(file.Digest), File: file, listed: true, manifest: true}
	}
	file := m.doc.Blobs[i-len(m.doc.Manifests)]
	return member{name: blobName(file.Digest), File: file, listed: true}
}

// size returns the size of the tar in bytes.
func (m members) size() int64 {
	size := int64(endSize)
	for i := range m.count() {
		size += m.at(i).length()
	}
	return size
}
