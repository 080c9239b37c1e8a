package admin

import (
	"path"
	"slices"
	"strings"

	"airmirror/mirror"
)

// matcher accepts repositories, tags and digests by patterns:
//
//	library/alpine        a repository, as clients name it
//	alpine                the same repository, in the short form of Docker
//	docker.io/library     all repositories below, with or without the default host
//	ghcr.io/*/app         wildcards in a part between slashes, see [mirror.Match]
//	ghcr.io/**/app        any number of parts
//	library/alpine:3.*    some of its tags
//	localhost:5000/app    app, if that is an address of this mirror
//	alpine@sha256:4f53…   a digest, or the first digits of one
//
// A matcher without patterns accepts everything.
type matcher struct {
	names    mirror.Names
	patterns []pattern
}

type pattern struct {
	whole string // the whole pattern
	name  string // the pattern without the tag or digest
	tag   string // "" for all tags
	// digest is a digest or its first digits; "" for none.
	digest string
}

// CheckMatch returns an error if any of texts is not a valid pattern.
func CheckMatch(texts ...string) error {
	_, err := newMatcher(mirror.Names{}, texts)
	return err
}

// MatchRepos returns a function that reports whether a repository matches any of texts, or whether texts is empty.
func MatchRepos(names mirror.Names, texts []string) (func(mirror.Repo) bool, error) {
	m, err := newMatcher(names, texts)
	return m.repo, err
}

func newMatcher(names mirror.Names, texts []string) (matcher, error) {
	m := matcher{names: names}
	for _, text := range texts {
		if _, err := path.Match(text, ""); err != nil || text == "" {
			return m, mirror.Errorf(mirror.CodeNameInvalid, "%q is not a pattern: write a name such as library/alpine, or library/*:3.*", text)
		}
		if err := mirror.RefuseURL(text); err != nil {
			return m, mirror.Errorf(mirror.CodeNameInvalid, "%q: %w", text, err)
		}
		if _, d, ok := strings.Cut(text, "@"); ok {
			if err := mirror.ValidShortDigest(d); err != nil {
				return m, mirror.Errorf(mirror.CodeNameInvalid, "%q: %w", text, err)
			}
		}
		m.patterns = append(m.patterns, patternOf(text))
		if bare, own := names.Bare(text); own {
			m.patterns = append(m.patterns, patternOf(bare))
		}
	}
	return m, nil
}

func patternOf(text string) pattern {
	p := pattern{whole: text, name: text}
	if name, d, ok := strings.Cut(text, "@"); ok {
		p.name, p.digest = name, d
	} else if i := strings.LastIndexByte(text, ':'); i > strings.LastIndexByte(text, '/') {
		p.name, p.tag = text[:i], text[i+1:]
	}
	return p
}

// checkAmbiguous returns the error of find for a shortened digest that matches several digests. find looks for the
// digest in a repository; its error for an unknown digest is ignored.
func (m matcher) checkAmbiguous(find func(repo mirror.Repo, d string) error) error {
	for _, p := range m.patterns {
		repo, err := m.names.Repo(p.name, "")
		if p.digest == "" || err != nil { // a name with a wildcard is no repository
			continue
		}
		if err := find(repo, p.digest); err != nil && mirror.CodeOf(err) != mirror.CodeManifestUnknown {
			return err
		}
	}
	return nil
}

// repo reports whether the matcher may accept anything in a repository.
func (m matcher) repo(repo mirror.Repo) bool {
	for _, p := range m.patterns {
		if m.matchesRepo(p.name, repo) || m.matchesRepo(p.whole, repo) {
			return true
		}
	}
	return len(m.patterns) == 0
}

// images returns the matcher of a list of images, which accepts an image by its name, its digest, or that of its index.
func (m matcher) images() mirror.ImageMatch {
	if len(m.patterns) == 0 {
		return mirror.ImageMatch{}
	}
	return mirror.ImageMatch{Repo: m.repo, Name: m.mayMatch, Tags: m.tags, Image: func(image mirror.Image) bool {
		ref, err := image.Ref()
		return err == nil && (m.ref(ref) || m.ref(mirror.Ref{Repo: ref.Repo, Digest: image.Digest}) ||
			image.Index != "" && m.ref(mirror.Ref{Repo: ref.Repo, Digest: image.Index}))
	}}
}

// mayMatch reports whether the matcher may accept an image of a name: what the name points at may match a digest.
func (m matcher) mayMatch(ref mirror.Ref) bool {
	for _, p := range m.patterns {
		if m.matches(p, ref) || p.digest != "" && m.matchesRepo(p.name, ref.Repo) {
			return true
		}
	}
	return len(m.patterns) == 0
}

// tags returns the tags that the patterns name. few is false if a pattern may match other names of the repository.
func (m matcher) tags(repo mirror.Repo) (tags []string, few bool) {
	for _, p := range m.patterns {
		switch {
		case m.matchesRepo(p.whole, repo):
			return nil, false
		case !m.matchesRepo(p.name, repo):
		case p.tag == "" || strings.ContainsAny(p.tag, `*?[\`):
			return nil, false
		default:
			tags = append(tags, p.tag)
		}
	}
	slices.Sort(tags)
	return slices.Compact(tags), len(m.patterns) > 0
}

// ref reports whether the matcher accepts a tag or digest.
func (m matcher) ref(ref mirror.Ref) bool {
	for _, p := range m.patterns {
		if m.matches(p, ref) {
			return true
		}
	}
	return len(m.patterns) == 0
}

func (m matcher) matches(p pattern, ref mirror.Ref) bool {
	// Match the whole pattern first, because the port of a host looks like a tag.
	if m.matchesRepo(p.whole, ref.Repo) {
		return true
	}
	if ref.Digest != "" || p.digest != "" {
		return p.digest != "" && ref.Digest != "" && mirror.MatchesDigest(ref.Digest, p.digest) && m.matchesRepo(p.name, ref.Repo)
	}
	matched, _ := path.Match(p.tag, ref.Tag) // newMatcher has checked the pattern
	return matched && m.matchesRepo(p.name, ref.Repo)
}

// matchesRepo reports whether name matches a repository or a parent of it.
func (m matcher) matchesRepo(name string, repo mirror.Repo) bool {
	served := m.names.Served(repo)
	short, isShort := strings.CutPrefix(served, "library/")
	return matchesFolder(name, served) || matchesFolder(name, repo.String()) ||
		isShort && repo.Host == mirror.DockerHub && matchesFolder(name, short)
}

// matchesFolder reports whether a pattern of [mirror.Match] matches name or a parent of it.
func matchesFolder(pattern, name string) bool {
	pattern = strings.TrimSuffix(pattern, "/")
	for {
		if mirror.Match(pattern, name) {
			return true
		}
		i := strings.LastIndexByte(name, '/')
		if i < 0 {
			return false
		}
		name = name[:i]
	}
}

// IsPattern reports whether a name contains wildcards.
func IsPattern(name string) bool { return strings.ContainsAny(name, "*?[") }

// SplitTag splits the name of an image into the repository and the tag, which is "" if the name has none.
func SplitTag(name string) (repo, tag string) {
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		return name[:i], name[i+1:]
	}
	return name, ""
}

// WithHost adds the default host to a pattern of repositories that names no host, because the names of stored
// repositories always have a host. A pattern with a digest is returned unchanged.
func WithHost(names mirror.Names, pattern string) string {
	if strings.Contains(pattern, "@") {
		return pattern
	}
	pattern, _ = names.Bare(pattern)
	name, _ := SplitTag(pattern)
	first, _, several := strings.Cut(name, "/")
	if first == "**" || several && (strings.ContainsAny(first, ".:") || first == "localhost") {
		return pattern
	}
	host := names.Default
	if host == "" {
		host = mirror.DockerHub
	}
	if host == mirror.DockerHub && !several {
		pattern = "library/" + pattern
	}
	return host + "/" + pattern
}
