// Package registry serves the OCI distribution API, version 1.1 and the draft of 1.2, and the extensions that Docker
// clients use: https://github.com/opencontainers/distribution-spec/blob/main/spec.md
//
// [Parse] reads a request without looking up anything. Handlers turn it into calls of [Mirror] and return
// errors. One table maps the code of an error to an HTTP status.
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

// Endpoint is the kind of resource that a URL addresses.
type Endpoint int

// The endpoints of the specification, and _catalog.
const (
	Base Endpoint = iota
	Catalog
	Tags
	Referrers
	Manifest
	Blob
	Uploads // where uploads start
	Upload  // an upload in progress
)

// methods are the methods that each endpoint supports.
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

// Request is a parsed request. It contains everything that can be checked without looking up anything. Which fields are
// set depends on Endpoint.
type Request struct {
	Endpoint  Endpoint
	Name      string        // of the repository, as in the URL
	Namespace string        // ns: the registry host that the client means; often empty
	Tag       string        // Manifest by tag
	Digest    digest.Digest // Manifest by digest, Blob, Referrers; Uploads and Upload: the digest to commit
	UploadID  string

	Tags         []string         // Manifest, PUT by digest: more tags to set
	Algorithm    digest.Algorithm // Uploads: the hash algorithm of the content
	Mount        digest.Digest    // Uploads: the blob to mount
	From         string           // Uploads: the repository to mount it from; may be empty
	N            int              // Catalog, Tags, Referrers: the page size; -1 if not given
	Last         string           // Catalog, Tags, Referrers: the entry that the page begins after
	ArtifactType string           // Referrers: the filter
}

// Parse parses the method and URL of a request to the API. It never looks up anything. Errors are a [mirror.Error]:
// [mirror.CodeUnsupported] for a method that the endpoint does not support, [mirror.CodeNameUnknown] for a URL outside
// the API, and other codes for malformed parts.
func Parse(method string, u *url.URL) (Request, error) {
	req := Request{N: -1}
	last, err := req.parsePath(u)
	if err != nil {
		return Request{}, err
	}
	if req.Name == "" && req.Endpoint != Base && req.Endpoint != Catalog {
		return Request{}, mirror.Errorf(mirror.CodeNameInvalid, "the repository name is empty")
	}
	if !slices.Contains(methods[req.Endpoint], method) {
		return req, mirror.Errorf(mirror.CodeUnsupported, "method %s is not supported by this endpoint", method)
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

// parsePath sets the endpoint and the name. It returns the last part of the path.
func (req *Request) parsePath(u *url.URL) (last string, err error) {
	// An escaped slash is not a separator and no name contains one. Only the escaped path shows the difference.
	path := u.EscapedPath()
	if strings.Contains(path, "%") {
		if strings.Contains(strings.ToLower(path), "%2f") {
			return "", mirror.Errorf(mirror.CodeNameInvalid, "a name cannot contain an escaped slash")
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
				return mirror.Errorf(mirror.CodePaginationInvalid, "n=%s is not a number of entries", strconv.Quote(n))
			}
		}
	case Manifest:
		if method == http.MethodPut && req.Digest != "" {
			req.Tags = query["tag"]
			for _, tag := range req.Tags {
				if !mirror.ValidTag(tag) {
					return mirror.Errorf(mirror.CodeManifestInvalid, "%s is not a valid tag", strconv.Quote(tag))
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

// String returns the name of the endpoint in metrics and logs.
func (e Endpoint) String() string {
	return [...]string{"base", "catalog", "tags", "referrers", "manifest", "blob", "uploads", "upload"}[e]
}
