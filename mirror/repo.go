package mirror

import (
	_ "crypto/sha256" // for digest.Algorithm.Hash, with sha512
	_ "crypto/sha512"
	"strings"

	"github.com/opencontainers/go-digest"
)

// MaxManifestSize is the maximum size of a manifest in bytes, from clients and from upstreams. The specification
// requires at least 4 MB: https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pushing-manifests
const MaxManifestSize = 4 << 20

// maxNameLength is the maximum length of a repository name, including the host, that common clients allow.
const maxNameLength = 255

// Repo is the canonical name of a repository: the host of its registry and its path there. Everything is stored under
// it. It is comparable.
type Repo struct {
	Host string // docker.io, ghcr.io, registry.example:5000
	Path string // library/alpine
}

// ParseRepo parses a [Repo.String]. The error for any other text is a [CodeNameInvalid].
func ParseRepo(s string) (Repo, error) {
	host, path, ok := strings.Cut(s, "/")
	if !ok {
		return Repo{}, Errorf(CodeNameInvalid, "repository %q: want host/path", s)
	}
	r := Repo{Host: host, Path: path}
	return r, r.Validate()
}

// Validate returns a [CodeNameInvalid] if host or path is outside the grammar of the specification:
// https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pulling-manifests
func (r Repo) Validate() error {
	if !ValidHost(r.Host) {
		return Errorf(CodeNameInvalid, "%q is not the name of a registry host", r.Host)
	}
	if len(r.Host)+1+len(r.Path) > maxNameLength {
		return Errorf(CodeNameInvalid, "repository name is longer than %d characters", maxNameLength)
	}
	if !validPath(r.Path) {
		if r.Path == "" {
			return Errorf(CodeNameInvalid, "the name of the repository is empty")
		}
		return Errorf(CodeNameInvalid, "%s is not a repository name%s", quote(r.Path), pathProblem(r.Path))
	}
	return nil
}

// pathProblem returns what is wrong with a path outside the grammar, if it is a mistake that people make.
func pathProblem(path string) string {
	switch lower := strings.ToLower(path); {
	case strings.ContainsAny(path, " \t"):
		return ": it contains a space"
	case lower != path && validPath(lower):
		return ": repository names are lower case, as in " + quote(lower)
	case strings.HasPrefix(path, "/") || strings.HasSuffix(path, "/") || strings.Contains(path, "//"):
		return ": it has a slash without a name beside it"
	}
	return ""
}

// String returns host/path.
func (r Repo) String() string { return r.Host + "/" + r.Path }

// Ref is a reference to a manifest in a repository: by digest if Digest is set, and otherwise by tag. If both are set,
// as in the references of Kubernetes and Helm, the digest identifies the manifest, and the tag points at that manifest.
type Ref struct {
	Repo   Repo
	Tag    string
	Digest digest.Digest
}

// String returns host/path:tag, host/path@digest or host/path:tag@digest.
func (r Ref) String() string {
	s := r.Repo.String()
	if r.Tag != "" || r.Digest == "" {
		s += ":" + r.Tag
	}
	if r.Digest != "" {
		s += "@" + r.Digest.String()
	}
	return s
}

// Check returns a [CodeDigestInvalid] if the reference has another digest than d.
func (r Ref) Check(d digest.Digest) error {
	if r.Digest == "" || r.Digest == d {
		return nil
	}
	return Errorf(CodeDigestInvalid, "%s is not the image %s: its digest is another one", r, d)
}

// ParseTagOrDigest parses the last part of a manifest URL. It returns a [CodeDigestInvalid] for a digest that is
// malformed or has an unsupported algorithm, and a [CodeManifestInvalid] for a tag outside the grammar.
func ParseTagOrDigest(s string) (tag string, d digest.Digest, err error) {
	if strings.Contains(s, ":") {
		d, err = ParseDigest(s)
		return "", d, err
	}
	if !ValidTag(s) {
		return "", "", Errorf(CodeManifestInvalid, "%q is not a tag", s)
	}
	return s, "", nil
}

// ParseDigest parses a digest with a supported algorithm, sha256 or sha512. The error for any other text is a
// [CodeDigestInvalid].
func ParseDigest(s string) (digest.Digest, error) {
	d := digest.Digest(s)
	if validDigest(s) {
		return d, nil
	}
	if err := d.Validate(); err != nil {
		return "", &Error{Code: CodeDigestInvalid, Message: "invalid digest " + quote(s), Cause: err}
	}
	if !ValidAlgorithm(d.Algorithm()) {
		return "", Errorf(CodeDigestInvalid, "digest algorithm %q is not supported: use sha256 or sha512", d.Algorithm())
	}
	return d, nil
}

// ValidAlgorithm reports whether a is a supported digest algorithm.
func ValidAlgorithm(a digest.Algorithm) bool { return a == digest.SHA256 || a == digest.SHA512 }

// ParseRef parses a [Ref.String].
func ParseRef(s string) (ref Ref, err error) {
	name, d, byDigest := strings.Cut(s, "@")
	if byDigest {
		if ref.Digest, err = ParseDigest(d); err != nil {
			return Ref{}, err
		}
	}
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		name, ref.Tag = name[:i], name[i+1:]
		if !ValidTag(ref.Tag) {
			return Ref{}, Errorf(CodeNameInvalid, "%s is not a tag", quote(ref.Tag))
		}
	} else if !byDigest {
		return Ref{}, Errorf(CodeNameInvalid, "reference %s has neither tag nor digest", quote(s))
	}
	ref.Repo, err = ParseRepo(name)
	return ref, err
}
