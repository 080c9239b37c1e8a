package registry

import (
	"bytes"
	"io"
	"maps"
	"net/http"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/mirror"
)

// manifest serves end-3, end-7 and end-9.
func (x *exchange) manifest() error {
	ref := mirror.Ref{Repo: x.repo, Tag: x.req.Tag, Digest: x.req.Digest}
	switch x.r.Method {
	case http.MethodPut:
		return x.putManifest()
	case http.MethodDelete:
		x.outcome.Digest = ref.Digest
		if err := x.mirror.Delete(x.r.Context(), ref); err != nil {
			return err
		}
		x.WriteHeader(http.StatusAccepted)
		return nil
	}
	get := x.mirror.Manifest
	if x.head() {
		get = x.mirror.StatManifest
	}
	man, err := get(x.r.Context(), ref)
	if err != nil {
		return err
	}
	x.outcome.Digest, x.outcome.MediaType, x.outcome.Size = man.Digest, man.MediaType, int64(len(man.Bytes))
	x.warnStale(man.Stale)
	if x.notModified(man.Digest) {
		return nil
	}
	contentType := man.MediaType
	if activeContent(contentType) { // stored by an earlier version, or from a bundle or an upstream
		contentType = octetStream[0]
	}
	if x.head() || len(man.Bytes) <= smallBody {
		return x.writeBody(contentType, man.Bytes)
	}
	return x.sendManifest(contentType, man)
}

// sendManifest sends a large manifest from its file, like a blob. In memory, it would occupy the memory budget until
// the client has read it. A manifest that is not stored is sent from memory.
func (x *exchange) sendManifest(contentType string, man mirror.Answer) error {
	stored, err := x.mirror.OpenManifest(x.r.Context(), man.Repo, man.Digest)
	if err != nil {
		return x.writeBody(contentType, man.Bytes)
	}
	defer stored.Close()
	x.set("Content-Type", contentType)
	x.set("Content-Length", strconv.FormatInt(stored.Size, 10))
	x.WriteHeader(http.StatusOK)
	if n, err := io.Copy(x.ResponseWriter, io.LimitReader(stored.ReadSeekCloser, stored.Size)); err != nil || n != stored.Size {
		return errAborted
	}
	return nil
}

// warnStale adds a Warning header if the answer could not be revalidated with its upstream.
// https://github.com/opencontainers/distribution-spec/blob/main/spec.md#warnings
func (x *exchange) warnStale(stale error) {
	if stale != nil {
		x.Header().Set("Warning", `299 - "`+warningText.Replace("stale: "+redact(stale))+`"`)
	}
}

var warningText = strings.NewReplacer(`"`, `'`, `\`, `/`, "\r", " ", "\n", " ")

func (x *exchange) putManifest() error {
	put := mirror.Put{Repo: x.repo, Digest: x.req.Digest, MediaType: x.r.Header.Get("Content-Type"), Tags: x.req.Tags}
	if x.req.Tag != "" {
		put.Tags = []string{x.req.Tag}
	}
	if put.MediaType != "" && activeContent(put.MediaType) {
		return mirror.Errorf(mirror.CodeManifestInvalid, "%q is not a media type of manifests: browsers may run it", put.MediaType)
	}
	done, err := x.receiveManifest(&put)
	if err != nil {
		return err
	}
	defer done()
	was := x.mirror.TagDigests(x.r.Context(), put.Repo, put.Tags...)
	x.outcome.Tags = put.Tags
	man, refs, err := x.mirror.PutManifest(x.r.Context(), put)
	if err != nil {
		return err
	}
	x.outcome.Digest, x.outcome.MediaType, x.outcome.Size = man.Digest, man.MediaType, int64(len(man.Bytes))
	maps.DeleteFunc(was, func(_ string, d digest.Digest) bool { return d == man.Digest })
	x.outcome.Previous = was
	h := x.Header()
	h.Set("Location", x.location("manifests", man.Digest.String()))
	h.Set("Docker-Content-Digest", man.Digest.String())
	if refs.Subject != nil {
		h.Set("OCI-Subject", refs.Subject.Digest.String())
	}
	for _, tag := range x.req.Tags {
		h.Add("OCI-Tag", tag)
	}
	x.WriteHeader(http.StatusCreated)
	return nil
}

// receiveManifest reads the body of a push, into memory if the budget allows it and to the disk otherwise. The caller
// calls done to release it.
func (x *exchange) receiveManifest(put *mirror.Put) (done func(), err error) {
	size := x.r.ContentLength
	if size < 0 || size > mirror.MaxManifestSize {
		size = mirror.MaxManifestSize
	}
	in := &manifestReader{x.r.Body}
	done, ok := x.bodies.reserve(x.r, size)
	if !ok {
		put.Spool, err = x.mirror.Spool(x.r.Context(), in)
		if err != nil {
			return nil, err
		}
		return put.Spool.Close, nil
	}
	var body bytes.Buffer // allocated once: growing it step by step needs several times the memory
	if x.r.ContentLength >= 0 {
		body.Grow(int(size) + bytes.MinRead)
	}
	if _, err := body.ReadFrom(io.LimitReader(in, mirror.MaxManifestSize+1)); err != nil {
		done()
		return nil, err
	}
	put.Bytes = body.Bytes()
	return done, nil
}

// manifestReader marks read errors as errors of the client.
type manifestReader struct{ io.Reader }

func (r *manifestReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err != nil && err != io.EOF {
		err = mirror.Errorf(mirror.CodeManifestInvalid, "the manifest is truncated: %w", err)
	}
	return n, err
}

// activeContent reports whether a browser may run content of this media type: pages, images with scripts, documents.
// Manifests have application types that no browser knows, most of them JSON.
func activeContent(mediaType string) bool {
	switch mediaType { // the types of almost all manifests
	case v1.MediaTypeImageManifest, v1.MediaTypeImageIndex, mirror.MediaTypeDockerManifest, mirror.MediaTypeDockerManifestList:
		return false
	}
	mediaType, _, _ = strings.Cut(mediaType, ";")
	subtype, ok := strings.CutPrefix(strings.ToLower(strings.TrimSpace(mediaType)), "application/")
	switch subtype {
	case "pdf", "wasm", "x-shockwave-flash", "x-mimearchive":
		return true
	}
	return !ok || strings.HasSuffix(subtype, "xml") || strings.Contains(subtype, "html") || strings.Contains(subtype, "script")
}
