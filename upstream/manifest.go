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

// acceptManifests asks for a manifest as it is: registries convert it for clients that do not know its media type.
var acceptManifests = strings.Join(append(mirror.ManifestMediaTypes(),
	"application/vnd.docker.distribution.manifest.v1+prettyjws", "*/*"), ", ")

// digestHeader is where a registry says which digest a manifest has.
const digestHeader = "Docker-Content-Digest"

func manifestTarget(ref mirror.Ref) target {
	if ref.Digest != "" {
		return target{kind: manifestKind, repo: ref.Repo, id: ref.Digest.String()}
	}
	return target{kind: manifestKind, repo: ref.Repo, id: ref.Tag}
}

// Resolve implements [mirror.Upstream]. Where the answer to HEAD is not clear, or leaves something out, the manifest is
// fetched and described, as a first pull does.
func (c *Client) Resolve(ctx context.Context, ref mirror.Ref) (v1.Descriptor, error) {
	a, err := c.do(ctx, http.MethodHead, manifestTarget(ref))
	if err != nil && !headInconclusive(err) {
		return v1.Descriptor{}, err
	}
	if err == nil {
		a.close()
		if desc, ok := descriptorOf(a.Response); ok && (ref.Digest == "" || ref.Digest == desc.Digest) {
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
	a, err := c.do(ctx, http.MethodGet, t)
	if err != nil {
		return mirror.Manifest{}, err
	}
	defer a.close()
	body, err := a.read(mirror.MaxManifestSize)
	if err != nil {
		return mirror.Manifest{}, err
	}
	said, err := mirror.ParseDigest(a.Header.Get(digestHeader))
	if err != nil {
		said = "" // there is none, or of an algorithm that cannot be checked
	}
	body = a.decompress(body, mirror.MaxManifestSize, ref.Digest, said)
	if len(body) > mirror.MaxManifestSize {
		return mirror.Manifest{}, mirror.Errorf(mirror.CodeManifestTooLarge,
			"%s of upstream %s is larger than %d bytes", t, ref.Repo.Host, mirror.MaxManifestSize)
	}
	d, err := t.verify(ref.Digest, said, body)
	if err != nil {
		return mirror.Manifest{}, err
	}
	mediaType, err := t.mediaTypeOf(a.Header.Get("Content-Type"), body)
	if err != nil {
		return mirror.Manifest{}, err
	}
	return mirror.Manifest{MediaType: mediaType, Digest: d, Bytes: body, Origin: mirror.Mirrored}, nil
}

// verify returns the digest of a manifest: the one that was asked for, the one that the registry says, or its sha256.
// Both of the former must be true.
func (t target) verify(want, said digest.Digest, body []byte) (digest.Digest, error) {
	header := said
	for _, d := range []digest.Digest{want, header} {
		if d == "" {
			continue
		}
		if got := d.Algorithm().FromBytes(body); got != d {
			if signedSchema1(body) {
				return "", t.invalid("a signed manifest of schema 1, whose digest is not that of its bytes: no registry of today can keep it; push the image again with a newer docker")
			}
			return "", t.invalid("bytes whose digest is %s, not %s", got, d)
		}
	}
	switch {
	case want != "":
		return want, nil
	case header != "":
		return header, nil
	}
	return digest.FromBytes(body), nil
}

// mediaTypeOf returns the media type of a manifest, which must be a JSON object and, if it is of a type that is
// understood, valid.
func (t target) mediaTypeOf(contentType string, body []byte) (string, error) {
	var object map[string]json.RawMessage
	if err := json.Unmarshal(body, &object); err != nil || object == nil {
		return "", t.invalid("something that is not a JSON object, as %q", contentType)
	}
	said := contentType
	if isGeneric(contentType) {
		said = ""
	}
	mediaType, _, err := mirror.ParseManifest(said, body)
	if err != nil && said != "" { // the digest vouches for what the bytes say, and nothing for the header
		if inside, _, again := mirror.ParseManifest("", body); again == nil {
			return inside, nil
		}
	}
	if err != nil {
		return "", t.invalid("what is not valid: %w", err)
	}
	return mediaType, nil
}

// signedSchema1 reports whether a manifest is of the format that Docker had before 2016, with signatures in it.
func signedSchema1(body []byte) bool {
	var doc struct {
		SchemaVersion int               `json:"schemaVersion"`
		Signatures    []json.RawMessage `json:"signatures"`
	}
	return json.Unmarshal(body, &doc) == nil && doc.SchemaVersion == 1 && len(doc.Signatures) > 0
}

// describe makes a descriptor of a HEAD answer, if it has everything.
func descriptorOf(resp *http.Response) (v1.Descriptor, bool) {
	d, err := mirror.ParseDigest(resp.Header.Get(digestHeader))
	contentType := resp.Header.Get("Content-Type")
	if err != nil || isGeneric(contentType) || resp.ContentLength <= 0 || isCompressed(resp) {
		return v1.Descriptor{}, false
	}
	return v1.Descriptor{MediaType: withoutParams(contentType), Digest: d, Size: resp.ContentLength}, true
}

// isGeneric reports whether a media type says less than a manifest itself does.
func isGeneric(contentType string) bool {
	switch withoutParams(contentType) {
	case "", "application/json", "text/json", "text/plain", "application/octet-stream", "binary/octet-stream":
		return true
	}
	return false
}

// bare is a media type without parameters.
func withoutParams(contentType string) string {
	mediaType, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return ""
	}
	return mediaType
}

// errWebPage: somebody else answered.
var errWebPage = errors.New("a web page: is there a proxy or a sign-in page in between?")

// otherHostDown reports whether an endpoint led to a host that does not answer.
func otherHostDown(err error) bool {
	var abroad otherHostError
	var notAsked *notSentError
	return errors.As(err, &abroad) || errors.As(err, &notAsked) && notAsked.otherHost
}

// headInconclusive reports whether the answer to a HEAD request leaves open what GET gets. Storage services sign their links
// for GET, some registries know no HEAD or want another login for it, firewalls drop it, it is redirected to where nobody
// answers, and web pages come from others.
// That something does not exist is clear if the registry itself says so, in its own words; so is that it limits how often
// it may be asked. Where nothing can be asked, GET is not tried; silence that means the endpoint has ended that already.
func headInconclusive(err error) bool {
	var e *statusError
	if !errors.As(err, &e) {
		return errors.Is(err, errWebPage) || errors.Is(err, errManyRedirects) || otherHostDown(err) || connectionBroken(err) || isTimeout(err)
	}
	return !e.signIn && !e.unknown && e.status != http.StatusTooManyRequests
}
