package registry

import (
	"bytes"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

// manifest answers for end-3, end-7 and end-9.
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
	if activeContent(contentType) { // stored by an earlier version, imported, or as its upstream says
		contentType = octetStream[0]
	}
	if x.head() || len(man.Bytes) <= smallBody {
		return x.writeBody(contentType, man.Bytes)
	}
	return x.sendManifest(contentType, man)
}

// sendManifest answers with a large manifest, as with a blob: from its file, and not from memory, which would be in use
// for as long as the client likes. One that could not be kept is in memory only.
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

// describe sets the headers that name content by its digest, and answers 304 if the client has it.
func (x *exchange) notModified(d digest.Digest) (notModified bool) {
	etag := `"` + string(d) + `"`
	x.set("Docker-Content-Digest", string(d))
	x.set("Etag", etag)
	for _, list := range x.r.Header["If-None-Match"] {
		for candidate := range strings.SplitSeq(list, ",") {
			candidate = strings.TrimPrefix(strings.TrimSpace(candidate), "W/")
			if candidate == etag || candidate == "*" || candidate == string(d) {
				x.WriteHeader(http.StatusNotModified)
				return true
			}
		}
	}
	return false
}

// warn says that an answer could not be checked with its upstream, and why.
// https://github.com/opencontainers/distribution-spec/blob/main/spec.md#warnings
func (x *exchange) warnStale(stale error) {
	if stale != nil {
		x.Header().Set("Warning", `299 - "`+warningText.Replace("stale: "+redact(stale))+`"`)
	}
}

var warningText = strings.NewReplacer(`"`, `'`, `\`, `/`, "\r", " ", "\n", " ")

// writeBody answers 200 with a body that is in memory. A large one is part of what all bodies in memory may take, for as
// long as the client takes to read it.
func (x *exchange) writeBody(contentType string, body []byte) error {
	if !x.head() && len(body) > smallBody {
		done, ok := x.bodies.reserve(x.r, int64(len(body)))
		if !ok {
			return errBodyBudget
		}
		defer done()
	}
	x.set("Content-Type", contentType)
	x.set("Content-Length", strconv.Itoa(len(body)))
	x.WriteHeader(http.StatusOK)
	if x.head() {
		return nil
	}
	if _, err := x.Write(body); err != nil {
		return errAborted
	}
	return nil
}

func (x *exchange) putManifest() error {
	put := mirror.Put{Repo: x.repo, Digest: x.req.Digest, MediaType: x.r.Header.Get("Content-Type"), Tags: x.req.Tags}
	if x.req.Tag != "" {
		put.Tags = []string{x.req.Tag}
	}
	if put.MediaType != "" && activeContent(put.MediaType) {
		return mirror.Errorf(mirror.CodeManifestInvalid, "%q is no media type of a manifest: browsers may run it", put.MediaType)
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

// receiveManifest reads the body of a push: into memory if there is room for it, and else to the disk, where it may take
// any time to arrive.
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
	var body bytes.Buffer // made as large as it will be: growing it step by step costs several times the memory
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

// manifestReader says of failures to read that they are the client's.
type manifestReader struct{ io.Reader }

func (r *manifestReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err != nil && err != io.EOF {
		err = mirror.Errorf(mirror.CodeManifestInvalid, "the manifest did not arrive whole: %w", err)
	}
	return n, err
}

// blob answers for end-2 and end-10.
func (x *exchange) blob() error {
	d := x.req.Digest
	switch x.r.Method {
	case http.MethodDelete:
		if err := x.mirror.DeleteBlob(x.r.Context(), x.repo, d); err != nil {
			x.inUse = mirror.CodeOf(err) == mirror.CodeUnsupported
			return err
		}
		x.WriteHeader(http.StatusAccepted)
		return nil
	case http.MethodHead:
		return x.statBlob(d)
	}
	blob, err := x.mirror.Blob(x.r.Context(), x.repo, d)
	if err != nil {
		return err
	}
	defer blob.Close()
	if x.notModified(d) {
		return nil
	}
	x.Header()["Content-Type"] = octetStream
	if blob.Size < 0 {
		if x.r.ProtoAtLeast(1, 1) {
			return x.stream(blob)
		}
		if err := waitForSize(blob); err != nil {
			return err
		}
	}
	if arriving, ok := blob.ReadSeekCloser.(interface{ Expect([]mirror.Span) }); ok {
		arriving.Expect(parseRanges(x.r.Header.Get("Range"), blob.Size))
	}
	http.ServeContent(&contentWriter{exchange: x}, x.r, "", time.Time{}, blob.ReadSeekCloser)
	if failing, ok := blob.ReadSeekCloser.(interface{ Err() error }); ok && failing.Err() != nil {
		return errAborted
	}
	return nil
}

// stream answers with a blob that is arriving and whose size nobody knows: in chunks, each as it comes, and with no range.
func (x *exchange) stream(blob mirror.Blob) error {
	flush := http.NewResponseController(x.ResponseWriter).Flush
	buf := make([]byte, 64<<10)
	for {
		n, err := blob.Read(buf)
		if n > 0 {
			if _, err := x.Write(buf[:n]); err != nil {
				return errAborted
			}
			if err := flush(); err != nil {
				return errAborted
			}
		}
		switch err {
		case nil:
		case io.EOF:
			return nil
		default:
			return errAborted
		}
	}
}

// whole waits until the size of a blob is known, for a client of HTTP/1.0, as nginx is if nobody tells it otherwise: it
// knows no chunks, and would take the end of a connection that breaks for that of the blob.
func waitForSize(blob mirror.Blob) error {
	arriving, ok := blob.ReadSeekCloser.(interface{ Whole() (int64, error) })
	if !ok {
		return nil
	}
	_, err := arriving.Whole()
	return err
}

var octetStream = []string{"application/octet-stream"}

func (x *exchange) statBlob(d digest.Digest) error {
	size, err := x.mirror.StatBlob(x.r.Context(), x.repo, d)
	if err != nil {
		return err
	}
	if x.notModified(d) {
		return nil
	}
	h := x.Header()
	h["Content-Type"] = octetStream
	h.Set("Accept-Ranges", "bytes")
	h.Set("Content-Length", strconv.FormatInt(size, 10))
	x.WriteHeader(http.StatusOK)
	return nil
}

// location returns the URL of something in the request's repository. It is relative, so that it holds behind any
// proxy, and says ns again where the request did.
func (x *exchange) location(parts ...string) string {
	path := "/v2/" + x.req.Name + "/" + strings.Join(parts, "/")
	if x.req.Namespace != "" {
		path += "?ns=" + url.QueryEscape(x.req.Namespace)
	}
	return path
}
