// Package registry serves the OCI distribution API, version 1.1 and the draft of 1.2, and what Docker's clients use
// beyond it: https://github.com/opencontainers/distribution-spec/blob/main/spec.md
//
// [Parse] reads a request without looking at anything else; handlers turn it into calls of [Mirror] and return
// errors; one table makes a status of an error's code.
package registry

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

// Endpoint is what a URL addresses.
type Endpoint int

// The endpoints of the specification, and _catalog.
const (
	Base Endpoint = iota
	Catalog
	Tags
	Referrers
	Manifest
	Blob
	Uploads // where uploads begin
	Upload  // one that is under way
)

// methods are what each endpoint answers.
var methods = map[Endpoint][]string{
	Base:      {http.MethodGet, http.MethodHead},
	Catalog:   {http.MethodGet, http.MethodHead},
	Tags:      {http.MethodGet, http.MethodHead},
	Referrers: {http.MethodGet, http.MethodHead},
	Manifest:  {http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete},
	Blob:      {http.MethodGet, http.MethodHead, http.MethodDelete},
	Uploads:   {http.MethodPost},
	Upload:    {http.MethodGet, http.MethodHead, http.MethodPatch, http.MethodPut, http.MethodDelete},
}

// Request is a request of the API, with everything in it that can be checked by looking at it. Which fields are set
// depends on Endpoint.
type Request struct {
	Endpoint  Endpoint
	Name      string        // of the repository, as the client wrote it
	Namespace string        // ns: the host that the client means; often empty
	Tag       string        // Manifest by tag
	Digest    digest.Digest // Manifest by digest, Blob, Referrers; Uploads and Upload: what is to be committed
	UploadID  string

	Tags         []string         // Manifest, PUT by digest: further tags to point at it
	Algorithm    digest.Algorithm // Uploads: what the bytes are to be hashed with
	Mount        digest.Digest    // Uploads: a blob to mount instead
	From         string           // Uploads: the repository to mount it from; may be empty
	N            int              // Catalog, Tags, Referrers: how many; -1 if the client did not say
	Last         string           // Catalog, Tags, Referrers: what the list begins after
	ArtifactType string           // Referrers: what to filter for
}

// Parse reads method and URL of a request to the API. Its errors are a [mirror.Error]: [mirror.CodeUnsupported] for a
// method that the endpoint does not have, [mirror.CodeNameUnknown] for a URL outside the API, and those of what is
// malformed. It never looks up anything.
func Parse(method string, u *url.URL) (Request, error) {
	req := Request{N: -1}
	last, err := req.parsePath(u)
	if err != nil {
		return Request{}, err
	}
	if req.Name == "" && req.Endpoint != Base && req.Endpoint != Catalog {
		return Request{}, mirror.Errorf(mirror.CodeNameInvalid, "the repository has no name")
	}
	if !slices.Contains(methods[req.Endpoint], method) {
		return req, mirror.Errorf(mirror.CodeUnsupported, "method %s is not supported here", method)
	}
	if err := req.parseLast(last); err != nil {
		return Request{}, err
	}
	if u.RawQuery == "" && !(req.Endpoint == Upload && method == http.MethodPut) {
		return req, nil
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return Request{}, &mirror.Error{Code: mirror.CodeNameInvalid, Message: "the query is malformed", Cause: err}
	}
	return req, req.parseQuery(method, query)
}

// parsePath finds endpoint and name, and returns the part of the path that comes after them.
func (req *Request) parsePath(u *url.URL) (last string, err error) {
	// A slash that was escaped is no separator, and no name has one in it: only the escaped path tells them apart.
	path := u.EscapedPath()
	if strings.Contains(path, "%") {
		if strings.Contains(strings.ToLower(path), "%2f") {
			return "", mirror.Errorf(mirror.CodeNameInvalid, "an escaped slash is not part of a name")
		}
		path = u.Path
	}
	rest, ok := strings.CutPrefix(path, "/v2")
	if !ok || rest != "" && rest[0] != '/' {
		return "", mirror.Errorf(mirror.CodeNameUnknown, "the registry API is below /v2/")
	}
	rest = strings.TrimPrefix(rest, "/")
	switch rest {
	case "":
		req.Endpoint = Base
		return "", nil
	case "_catalog":
		req.Endpoint = Catalog
		return "", nil
	}
	if name, ok := strings.CutSuffix(rest, "/tags/list"); ok {
		req.Endpoint, req.Name = Tags, name
		return "", nil
	}
	if name, ok := strings.CutSuffix(strings.TrimSuffix(rest, "/"), "/blobs/uploads"); ok {
		req.Endpoint, req.Name = Uploads, name
		return "", nil
	}
	head, last := cutLast(rest)
	for _, e := range []struct {
		part     string
		endpoint Endpoint
	}{{"/manifests", Manifest}, {"/blobs/uploads", Upload}, {"/blobs", Blob}, {"/referrers", Referrers}} {
		if name, ok := strings.CutSuffix(head, e.part); ok && last != "" {
			req.Endpoint, req.Name = e.endpoint, name
			return last, nil
		}
	}
	return "", mirror.Errorf(mirror.CodeNameUnknown, "%s is not part of the registry API", strconv.Quote(path))
}

func (req *Request) parseLast(last string) (err error) {
	switch req.Endpoint {
	case Manifest:
		req.Tag, req.Digest, err = mirror.ParseTagOrDigest(last)
	case Blob, Referrers:
		req.Digest, err = mirror.ParseDigest(last)
	case Upload:
		req.UploadID = last
	}
	return err
}

func (req *Request) parseQuery(method string, query url.Values) (err error) {
	req.Namespace = query.Get("ns")
	switch req.Endpoint {
	case Catalog, Tags, Referrers:
		req.Last, req.ArtifactType = query.Get("last"), query.Get("artifactType")
		if n := query.Get("n"); n != "" {
			if req.N, err = strconv.Atoi(n); err != nil || req.N < 0 {
				return mirror.Errorf(mirror.CodePaginationInvalid, "n=%s is not a number of results", strconv.Quote(n))
			}
		}
	case Manifest:
		if method == http.MethodPut && req.Digest != "" {
			req.Tags = query["tag"]
			for _, tag := range req.Tags {
				if !mirror.ValidTag(tag) {
					return mirror.Errorf(mirror.CodeManifestInvalid, "%s is not a tag", strconv.Quote(tag))
				}
			}
		}
	case Uploads:
		return req.parseUploadStart(query)
	case Upload:
		if s := query.Get("digest"); s != "" || method == http.MethodPut {
			req.Digest, err = mirror.ParseDigest(s)
		}
	}
	return err
}

func (req *Request) parseUploadStart(query url.Values) (err error) {
	if s := query.Get("digest"); s != "" {
		if req.Digest, err = mirror.ParseDigest(s); err != nil {
			return err
		}
		req.Algorithm = req.Digest.Algorithm()
	}
	if s := query.Get("digest-algorithm"); s != "" {
		if req.Algorithm = digest.Algorithm(s); !mirror.ValidAlgorithm(req.Algorithm) {
			return mirror.Errorf(mirror.CodeDigestInvalid, "digest algorithm %s is not supported: use sha256 or sha512", strconv.Quote(s))
		}
	}
	if s := query.Get("mount"); s != "" {
		if req.Mount, err = mirror.ParseDigest(s); err != nil {
			return err
		}
		req.From = query.Get("from")
	}
	return nil
}

func cutLast(path string) (head, last string) {
	i := strings.LastIndexByte(path, '/')
	if i < 0 {
		return "", path
	}
	return path[:i], path[i+1:]
}
