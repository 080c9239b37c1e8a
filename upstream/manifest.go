package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"strings"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/mirror"
)

// acceptManifests accepts every media type: registries convert a manifest for clients that do not accept its type.
var acceptManifests = strings.Join(append(mirror.ManifestMediaTypes(),
	"application/vnd.docker.distribution.manifest.v1+prettyjws", "*/*"), ", ")

// digestHeader is the header with the digest of a manifest.
const digestHeader = "Docker-Content-Digest"

func manifestTarget(ref mirror.Ref) target {
	if ref.Digest != "" {
		return target{kind: manifestKind, repo: ref.Repo, id: ref.Digest.String()}
	}
	return target{kind: manifestKind, repo: ref.Repo, id: ref.Tag}
}

// Resolve implements [mirror.Upstream]. If the response to HEAD is inconclusive or incomplete, it fetches the manifest.
func (c *Client) Resolve(ctx context.Context, ref mirror.Ref) (v1.Descriptor, error) {
	resp, err := c.do(ctx, http.MethodHead, manifestTarget(ref))
	if err != nil && !headInconclusive(err) {
		return v1.Descriptor{}, err
	}
	if err == nil {
		resp.close()
		if desc, ok := descriptorOf(resp.Response); ok && (ref.Digest == "" || ref.Digest == desc.Digest) {
			return desc, nil
		}
	}
	m, err := c.Manifest(ctx, ref)
	if err != nil {
		return v1.Descriptor{}, err
	}
	return v1.Descriptor{MediaType: m.MediaType, Digest: m.Digest, Size: int64(len(m.Bytes))}, nil
}

// Manifest implements [mirror.Upstream].
func (c *Client) Manifest(ctx context.Context, ref mirror.Ref) (mirror.Manifest, error) {
	t := manifestTarget(ref)
	resp, err := c.do(ctx, http.MethodGet, t)
	if err != nil {
		return mirror.Manifest{}, err
	}
	defer resp.close()
	body, err := resp.read(mirror.MaxManifestSize)
	if err != nil {
		return mirror.Manifest{}, err
	}
	header, err := mirror.ParseDigest(resp.Header.Get(digestHeader))
	if err != nil {
		header = "" // it is missing, or its algorithm is not supported
	}
	body = resp.decompress(body, mirror.MaxManifestSize, ref.Digest, header)
	if len(body) > mirror.MaxManifestSize {
		return mirror.Manifest{}, mirror.Errorf(mirror.CodeManifestTooLarge,
			"%s of upstream %s is larger than %d bytes", t, ref.Repo.Host, mirror.MaxManifestSize)
	}
	d, err := t.verify(ref.Digest, header, body)
	if err != nil {
		return mirror.Manifest{}, err
	}
	mediaType, err := t.mediaTypeOf(resp.Header.Get("Content-Type"), body)
	if err != nil {
		return mirror.Manifest{}, err
	}
	return mirror.Manifest{MediaType: mediaType, Digest: d, Bytes: body, Origin: mirror.Mirrored}, nil
}

// verify returns the digest of a manifest: the requested one, the one in the header, or its sha256. The first two must match
// the body; each may be empty.
func (t target) verify(requested, header digest.Digest, body []byte) (digest.Digest, error) {
	for _, d := range []digest.Digest{requested, header} {
		if d == "" {
			continue
		}
		if got := d.Algorithm().FromBytes(body); got != d {
			if signedSchema1(body) {
				return "", t.invalid("a signed manifest of schema 1, whose digest is not that of its bytes: current registries do not support it; push the image again with a newer docker")
			}
			return "", t.invalid("its digest is %s, not %s", got, d)
		}
	}
	switch {
	case requested != "":
		return requested, nil
	case header != "":
		return header, nil
	}
	return digest.FromBytes(body), nil
}

// mediaTypeOf returns the media type of a manifest. The body must be a JSON object and, if its type is known, valid.
func (t target) mediaTypeOf(contentType string, body []byte) (string, error) {
	var object map[string]json.RawMessage
	if err := json.Unmarshal(body, &object); err != nil || object == nil {
		return "", t.invalid("not a JSON object, with Content-Type %q", sanitize(contentType))
	}
	header := contentType
	if isGeneric(contentType) {
		header = ""
	}
	mediaType, _, err := mirror.ParseManifest(header, body)
	if err != nil && header != "" { // the digest covers the body, and not the header
		if inBody, _, bodyErr := mirror.ParseManifest("", body); bodyErr == nil {
			return inBody, nil
		}
	}
	if err != nil {
		return "", t.invalid("not valid: %w", err)
	}
	return mediaType, nil
}

// signedSchema1 reports whether a manifest has the signed format that Docker used before 2016.
func signedSchema1(body []byte) bool {
	var doc struct {
		SchemaVersion int               `json:"schemaVersion"`
		Signatures    []json.RawMessage `json:"signatures"`
	}
	return json.Unmarshal(body, &doc) == nil && doc.SchemaVersion == 1 && len(doc.Signatures) > 0
}

// descriptorOf returns the descriptor in a response to HEAD. ok is false if the response is incomplete.
func descriptorOf(resp *http.Response) (desc v1.Descriptor, ok bool) {
	d, err := mirror.ParseDigest(resp.Header.Get(digestHeader))
	contentType := resp.Header.Get("Content-Type")
	if err != nil || isGeneric(contentType) || resp.ContentLength <= 0 || isCompressed(resp) {
		return v1.Descriptor{}, false
	}
	return v1.Descriptor{MediaType: withoutParams(contentType), Digest: d, Size: resp.ContentLength}, true
}

// isGeneric reports whether a media type is less specific than the manifest itself.
func isGeneric(contentType string) bool {
	switch withoutParams(contentType) {
	case "", "application/json", "text/json", "text/plain", "application/octet-stream", "binary/octet-stream":
		return true
	}
	return false
}

// withoutParams returns a media type without its parameters, or "" if it is invalid.
func withoutParams(contentType string) string {
	mediaType, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return ""
	}
	return mediaType
}

// headInconclusive reports whether GET may succeed after HEAD failed with err. Storage services sign their links for GET
// only, some registries do not support HEAD or want another login for it, firewalls drop it, it may be redirected to a host
// that is down, and web pages come from other servers. A "not found" of the registry itself, with a JSON body, is
// conclusive, and so is a rate limit. If HEAD was not sent, GET would not be sent either; a timeout of an endpoint that is
// down has opened its circuit breaker.
func headInconclusive(err error) bool {
	var e *statusError
	if !errors.As(err, &e) {
		return errors.Is(err, errWebPage) || errors.Is(err, errManyRedirects) || otherHostDown(err) || connectionBroken(err) || isTimeout(err)
	}
	return !e.signIn && !e.unknown && e.status != http.StatusTooManyRequests
}

// otherHostDown reports whether the endpoint referred to a host that does not answer.
func otherHostDown(err error) bool {
	var otherHost otherHostError
	var notSent *notSentError
	return errors.As(err, &otherHost) || errors.As(err, &notSent) && notSent.otherHost
}
