package admin

import (
	"path"
	"strings"

	"airmirror/mirror"
)

// matcher accepts repositories, tags and references by what people write for them:
//
//	library/alpine        a repository, by the name that it is served under
//	alpine                the same, as Docker's tools shorten it
//	docker.io/library     everything below, by canonical name or the served one
//	ghcr.io/*/app         the parts between slashes are those of [path.Match]
//	library/alpine:3.*    some of its tags
//	localhost:5000/app    app, where that is an address of this mirror
//	alpine@sha256:4f53…   a digest, or the beginning of one
//
// An empty one accepts everything.
type matcher struct {
	names    mirror.Names
	patterns []pattern
}

type pattern struct {
	whole string // as it was written
	name  string // without the tag
	tag   string // "" for all
	// digest is the beginning of one; "" if none is named.
	digest string
}

// CheckMatch reports which of texts can match nothing because it is not a pattern.
func CheckMatch(texts ...string) error {
	_, err := newMatcher(mirror.Names{}, texts)
	return err
}

// MatchRepos returns what says whether a repository is meant by any of texts; every one is if there are none.
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

// ambiguous returns the error of find about a digest that is shortened so much that it may be several. find looks for it in
// a repository; that there is none is no error.
func (m matcher) checkAmbiguous(find func(repo mirror.Repo, d string) error) error {
	for _, p := range m.patterns {
		repo, err := m.names.Repo(p.name, "")
		if p.digest == "" || err != nil { // of the latter, a wildcard means several
			continue
		}
		if err := find(repo, p.digest); err != nil && mirror.CodeOf(err) != mirror.CodeManifestUnknown {
			return err
		}
	}
	return nil
}

// repo reports whether anything of a repository may be accepted.
func (m matcher) repo(repo mirror.Repo) bool {
	for _, p := range m.patterns {
		if m.matchesRepo(p.name, repo) || m.matchesRepo(p.whole, repo) {
			return true
		}
	}
	return len(m.patterns) == 0
}

// ref reports whether a tag or a digest of a repository is accepted.
func (m matcher) ref(ref mirror.Ref) bool {
	for _, p := range m.patterns {
		if m.matches(p, ref) {
			return true
		}
	}
	return len(m.patterns) == 0
}

func (m matcher) matches(p pattern, ref mirror.Ref) bool {
	// The host in a pattern may have a port, which looks like a tag.
	if m.matchesRepo(p.whole, ref.Repo) {
		return true
	}
	if ref.Digest != "" || p.digest != "" {
		return p.digest != "" && ref.Digest != "" && mirror.MatchesDigest(ref.Digest, p.digest) && m.matchesRepo(p.name, ref.Repo)
	}
	matched, _ := path.Match(p.tag, ref.Tag) // the pattern was tried when it was made
	return matched && m.matchesRepo(p.name, ref.Repo)
}

// named reports whether a repository, or a folder that it is in, is what name says.
func (m matcher) matchesRepo(name string, repo mirror.Repo) bool {
	served := m.names.Served(repo)
	short, isShort := strings.CutPrefix(served, "library/")
	return matchesFolder(name, served) || matchesFolder(name, repo.String()) ||
		isShort && repo.Host == mirror.DockerHub && matchesFolder(name, short)
}

// below reports whether name is at or below what a pattern matches.
func matchesFolder(pattern, name string) bool {
	pattern = strings.TrimSuffix(pattern, "/")
	for range strings.Count(name, "/") - strings.Count(pattern, "/") {
		name = name[:strings.LastIndexByte(name, '/')]
	}
	matched, _ := path.Match(pattern, name)
	return matched
}
