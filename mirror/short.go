package mirror

import (
	"context"
	"strings"

	"github.com/opencontainers/go-digest"
)

// MinDigits is the minimum number of hexadecimal digits of a shortened digest.
const MinDigits = 6

// shortCandidates is the number of candidates that the error about an ambiguous digest names.
const shortCandidates = 10

// MatchesDigest reports whether text is d or a prefix of it, with or without the algorithm.
func MatchesDigest(d digest.Digest, text string) bool {
	return strings.HasPrefix(d.String(), text) && strings.Contains(text, ":") || strings.HasPrefix(d.Encoded(), text)
}

// ValidShortDigest returns a [CodeDigestInvalid] unless text is a digest or a prefix of one, with at least [MinDigits]
// digits, with or without the algorithm.
func ValidShortDigest(text string) error {
	algorithm, digits, found := strings.Cut(text, ":")
	if !found {
		algorithm, digits = "sha256", text
	}
	if !ValidAlgorithm(digest.Algorithm(algorithm)) || !hexChars.all(digits) || len(digits) > digest.Algorithm(algorithm).Size()*2 && found || len(digits) > 2*digest.SHA512.Size() {
		_, err := ParseDigest(text)
		if err == nil {
			err = Errorf(CodeDigestInvalid, "%s is not a digest", quote(text))
		}
		return err
	}
	if len(digits) < MinDigits {
		return Errorf(CodeDigestInvalid, "%s is too short for a digest: write at least %d of its digits", quote(text), MinDigits)
	}
	return nil
}

// ChooseDigest returns the digest of a list that text is a prefix of, see [ValidShortDigest]. A complete digest is
// returned as it is, even if it is not in the list. If text matches none, the error is a [CodeManifestUnknown]; if it
// matches several, it is a [CodeNameInvalid] that names them.
func ChooseDigest(text string, of []digest.Digest) (digest.Digest, error) {
	if validDigest(text) {
		return digest.Digest(text), nil
	}
	if err := ValidShortDigest(text); err != nil {
		return "", err
	}
	var found []string
	seen := make(map[digest.Digest]bool)
	for _, d := range of {
		if !seen[d] && MatchesDigest(d, text) {
			seen[d] = true
			found = append(found, d.String())
		}
	}
	switch {
	case len(found) == 1:
		return digest.Digest(found[0]), nil
	case len(found) == 0:
		return "", Errorf(CodeManifestUnknown, "no digest begins with %s", text)
	}
	more := ""
	if len(found) > shortCandidates {
		found, more = found[:shortCandidates], " or another one"
	}
	return "", Errorf(CodeNameInvalid, "%s is ambiguous: it may be %s%s; write more of it", text, strings.Join(found, " or "), more)
}

// FindDigest is [ChooseDigest] for the stored manifests of a repository.
func FindDigest(ctx context.Context, store Catalog, repo Repo, text string) (digest.Digest, error) {
	if validDigest(text) {
		return digest.Digest(text), nil
	}
	if err := ValidShortDigest(text); err != nil {
		return "", err
	}
	begins := []string{text}
	if !strings.Contains(text, ":") {
		begins = []string{digest.SHA256.String() + ":" + text, digest.SHA512.String() + ":" + text}
	}
	var candidates []digest.Digest
	for _, begin := range begins {
		found, err := store.Manifests(ctx, repo, begin, shortCandidates+1)
		if err != nil {
			return "", err
		}
		candidates = append(candidates, found...)
	}
	d, err := ChooseDigest(text, candidates)
	if code := CodeOf(err); code == CodeManifestUnknown || code == CodeNameInvalid {
		return "", Errorf(code, "in %s, %w", repo, err)
	}
	return d, err
}
