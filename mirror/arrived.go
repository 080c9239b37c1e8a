package mirror

import "github.com/opencontainers/go-digest"

// Arrived is told that manifest or blob d of repo, and tags that point at it, were stored by somebody else than this
// mirror, as an import does. It strikes off the wants that this fulfils, and forgets that an upstream said a moment ago
// that there is no such thing. What upstreams listed is right as before: lists have what is held in them anyway.
func (m *Mirror) Arrived(repo Repo, d digest.Digest, tags ...string) {
	m.wants.fulfilled(repo, d, tags...)
	ref := Ref{Repo: repo, Digest: d}
	m.unknown.Remove(ref.String())
	m.unknown.Remove(unknownBlob(ref))
	for _, tag := range tags {
		m.unknown.Remove(Ref{Repo: repo, Tag: tag}.String())
	}
}
