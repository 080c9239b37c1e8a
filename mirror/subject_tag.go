package mirror

import (
	"strings"

	"github.com/opencontainers/go-digest"
)

// SubjectTag returns the tag under which clients that do not use the referrers API store the list of referrers of d:
// sha256-<hex>. Signatures, attestations and SBOMs of d have this tag with the suffix .sig, .att or .sbom.
//
// https://github.com/opencontainers/distribution-spec/blob/main/spec.md#referrers-tag-schema
func SubjectTag(d digest.Digest) string { return d.Algorithm().String() + "-" + d.Encoded() }

// SubjectOfTag returns the digest of the subject that a tag's name contains, or "". It is the inverse of [SubjectTag],
// with any suffix that begins with a dot.
func SubjectOfTag(tag string) digest.Digest {
	name, _, _ := strings.Cut(tag, ".")
	algorithm, encoded, ok := strings.Cut(name, "-")
	if !ok || algorithm != "sha256" && algorithm != "sha512" {
		return ""
	}
	d, err := ParseDigest(algorithm + ":" + encoded)
	if err != nil {
		return ""
	}
	return d
}
