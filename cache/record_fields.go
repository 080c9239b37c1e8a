package cache

import (
	"bytes"
	"slices"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/cache/packed"
	"airmirror/mirror"
)

// knownTexts are media types and platforms by their numbers. A new one is added at the end; none is changed or removed.
var knownTexts = []string{
	"",
	v1.MediaTypeImageManifest,
	v1.MediaTypeImageIndex,
	"application/vnd.docker.distribution.manifest.v2+json",
	"application/vnd.docker.distribution.manifest.list.v2+json",
	"application/vnd.docker.distribution.manifest.v1+prettyjws",
	"application/vnd.docker.distribution.manifest.v1+json",
	v1.MediaTypeImageConfig,
	"application/vnd.docker.container.image.v1+json",
	"application/vnd.oci.artifact.manifest.v1+json",
	v1.MediaTypeEmptyJSON,
	"application/vnd.cncf.helm.config.v1+json",
	"application/vnd.dev.cosign.artifact.sig.v1+json",
	"application/vnd.in-toto+json",
	"application/spdx+json",
	"application/vnd.cyclonedx+json",
	"application/vnd.dev.sigstore.bundle.v0.3+json",
	"linux/amd64",
	"linux/arm64",
	"linux/arm64/v8",
	"linux/arm/v7",
	"linux/arm/v6",
	"linux/386",
	"linux/ppc64le",
	"linux/s390x",
	"linux/riscv64",
	"windows/amd64",
}

// known writes a text that is probably among knownTexts: as its number plus one, or as 0 and text.
func (w *recordWriter) known(text string) {
	i := slices.Index(knownTexts, text)
	w.number(int64(i + 1))
	if i < 0 {
		w.text(text)
	}
}

func (r *recordReader) knownText() string {
	switch n := r.number(); {
	case n == 0:
		return r.text()
	case n <= int64(len(knownTexts)):
		return knownTexts[n-1]
	}
	r.fail(errRecordForm)
	return ""
}

// origins are the origins by their numbers.
var origins = []mirror.Origin{"", mirror.Mirrored, mirror.Imported, mirror.Pushed}

func (w *recordWriter) origin(o mirror.Origin) {
	i := slices.Index(origins, o)
	if i < 0 {
		w.fail("%q is not an origin", o)
	}
	w.number(int64(max(0, i)))
}

func (r *recordReader) origin() mirror.Origin {
	n := r.number()
	if n >= int64(len(origins)) {
		r.fail(errRecordForm)
		return ""
	}
	return origins[n]
}

func (r *repoRecord) append(w *recordWriter) {
	w.flags()
	w.origin(r.Origin)
	w.time(r.Created)
}

func (r *repoRecord) read(f *recordReader) {
	f.known(0)
	r.Origin, r.Created = f.origin(), f.time()
}

func (r *blobRecord) append(w *recordWriter) {
	w.flags(r.Platform != "")
	w.number(r.Size)
	w.time(r.Added)
	if r.Platform != "" {
		w.known(r.Platform)
	}
}

func (r *blobRecord) read(f *recordReader) {
	f.known(1)
	r.Size, r.Added = f.number(), f.time()
	if f.flag(0) {
		r.Platform = f.knownText()
	}
}

func (r *linkRecord) append(w *recordWriter) {
	w.flags(r.Announced, r.Sent, !r.Used.IsZero())
	w.time(r.Added)
	if !r.Used.IsZero() {
		w.time(r.Used)
	}
}

func (r *linkRecord) read(f *recordReader) {
	f.known(3)
	r.Announced, r.Sent = f.flag(0), f.flag(1)
	r.Added = f.time()
	if f.flag(2) {
		r.Used = f.time()
	}
}

func (r *manifestRecord) append(w *recordWriter) {
	w.flags(r.ArtifactType != "", r.Subject != "", len(r.Children) > 0, len(r.Owned) > 0)
	w.known(r.MediaType)
	w.number(r.Size)
	w.origin(r.Origin)
	w.time(r.Added)
	w.digests(r.Blobs)
	if r.ArtifactType != "" {
		w.known(r.ArtifactType)
	}
	if r.Subject != "" {
		w.digest(r.Subject)
	}
	if len(r.Children) > 0 {
		w.digests(r.Children)
	}
	if len(r.Owned) > 0 {
		w.digests(r.Owned)
	}
}

// read reuses the lists of the record.
func (r *manifestRecord) read(f *recordReader) {
	f.known(4)
	*r = manifestRecord{Blobs: r.Blobs[:0], Children: r.Children[:0], Owned: r.Owned[:0]}
	r.MediaType, r.Size, r.Origin, r.Added = f.knownText(), f.number(), f.origin(), f.time()
	r.Blobs = f.digests(r.Blobs)
	if f.flag(0) {
		r.ArtifactType = f.knownText()
	}
	if f.flag(1) {
		r.Subject = f.digest()
	}
	if f.flag(2) {
		r.Children = f.digests(r.Children)
	}
	if f.flag(3) {
		r.Owned = f.digests(r.Owned)
	}
}

// The flags of a use.
const (
	useOwned = iota
	useUnsized
)

func (r *useRecord) append(w *recordWriter) {
	w.flags(r.Owned, r.Size < 0)
	if r.Size >= 0 {
		w.number(r.Size)
	}
}

func (r *useRecord) read(f *recordReader) {
	f.known(2)
	r.Owned, r.Size = f.flag(useOwned), -1
	if !f.flag(useUnsized) {
		r.Size = f.number()
	}
}

func (r *tagRecord) append(w *recordWriter) {
	apart := !r.Checked.Equal(r.Updated)
	w.flags(!r.Checked.IsZero(), apart)
	w.digest(r.Digest)
	w.origin(r.Origin)
	w.time(r.Updated)
	if !r.Checked.IsZero() && apart {
		w.time(r.Checked)
	}
}

func (r *tagRecord) read(f *recordReader) {
	f.known(2)
	r.Digest, r.Origin, r.Updated = f.digest(), f.origin(), f.time()
	switch {
	case f.flag(0) && f.flag(1):
		r.Checked = f.time()
	case f.flag(0):
		r.Checked = r.Updated
	}
}

func (r *rootRecord) append(w *recordWriter) {
	w.flags()
	w.time(r.Added)
}

func (r *rootRecord) read(f *recordReader) {
	f.known(0)
	r.Added = f.time()
}

func (r *recencyRecord) append(w *recordWriter) {
	w.flags()
	w.time(r.Used)
}

func (r *recencyRecord) read(f *recordReader) {
	f.known(0)
	r.Used = f.time()
}

// emptyValue is the value of an entry whose key contains everything.
var emptyValue = []byte{recordMark}

// isOwnedUse reports whether a use does not need its file. It does not decode the record, because a blob can have many
// uses.
func isOwnedUse(value []byte) bool {
	if isText(value) {
		return bytes.Contains(value, []byte(`"owned":true`))
	}
	return len(value) > 0 && value[0]&(1<<useOwned) != 0
}

// namesDigest reports whether the value of a manifest has a digest, without decoding it.
func namesDigest(value []byte, d digest.Digest) bool {
	if isText(value) {
		return bytes.Contains(value, []byte(`"`+d+`"`))
	}
	form, ok := packed.AppendDigest(nil, d)
	return ok && bytes.Contains(value, form)
}
