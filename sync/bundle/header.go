package bundle

import (
	"archive/tar"
	"bytes"
	"time"

	"github.com/opencontainers/go-digest"
)

const (
	block   = 512       // what a tar is made of
	endSize = 2 * block // the two empty blocks at its end
	// maxUSTAR is the largest size that fits a header in octal.
	maxUSTAR = 1<<33 - 1
)

// blobName is the name of the entry with digest d.
func blobName(d digest.Digest) string {
	return "blobs/" + d.Algorithm().String() + "/" + d.Encoded()
}

// header makes the header of an entry. For a size that has no room there, and for the long name of a sha512 digest,
// GNU's form is used: it needs no records that other headers could override, and a large size no further block, so that
// an entry's place follows from what is before it.
func header(name string, size int64) []byte {
	h := tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o644, ModTime: time.Unix(0, 0), Format: tar.FormatUSTAR}
	if size > maxUSTAR || len(name) > 100 {
		h.Format = tar.FormatGNU
	}
	var buf bytes.Buffer
	if err := tar.NewWriter(&buf).WriteHeader(&h); err != nil {
		panic(err) // no name or size that was checked makes one
	}
	return buf.Bytes()
}

// headerSize is how long a header is.
func headerSize(name string) int64 {
	if len(name) > 100 {
		return 3 * block // two for the name
	}
	return block
}

// padding is how many bytes fill up the last block of an entry.
func padding(size int64) int64 { return -size & (block - 1) }

// part is an entry of a bundle.
type member struct {
	name string
	File
	content  []byte // if it is known: of oci-layout, the document and its signature
	listed   bool   // it is one of Document.Manifests or Document.Blobs, and manifest of the former
	manifest bool
}

// length is how many bytes it takes in the tar.
func (p member) length() int64 { return headerSize(p.name) + p.Size + padding(p.Size) }

// parts are the entries of a bundle, in their order, which follows from its document, as it is in bundle.json, and its
// signature.
type members struct {
	first []member // those with a name
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

func (p members) count() int { return len(p.first) + len(p.doc.Manifests) + len(p.doc.Blobs) }

func (p members) at(i int) member {
	if i < len(p.first) {
		return p.first[i]
	}
	if i -= len(p.first); i < len(p.doc.Manifests) {
		file := p.doc.Manifests[i].File
		return member{name: blobName(file.Digest), File: file, listed: true, manifest: true}
	}
	file := p.doc.Blobs[i-len(p.doc.Manifests)]
	return member{name: blobName(file.Digest), File: file, listed: true}
}

// size is how many bytes the whole tar has.
func (p members) size() int64 {
	size := int64(endSize)
	for i := range p.count() {
		size += p.at(i).length()
	}
	return size
}
