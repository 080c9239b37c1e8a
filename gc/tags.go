package gc

import (
	"context"
	"strings"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

// loadTags reads all tags of a survey.
func (l *loader) loadTags(ctx context.Context) error {
	for t, err := range l.survey.Tags() {
		if l.errs.add(err) {
			continue
		}
		if l.tags.n%chunkSize == 0 && ctx.Err() != nil {
			break
		}
		if place := l.find(t.Repo, pack(t.Digest)); place >= 0 {
			l.addTag(t, place)
		}
	}
	return ctx.Err()
}

func (l *loader) addTag(t mirror.SurveyedTag, place int32) {
	repo, n := l.repos[t.Repo], l.nodes.at(place)
	found := tag{name: strings.Clone(t.Name), node: place, updated: nanos(t.Updated), origin: originOf(t.Origin)}
	if l.survey.Pinned(mirror.Ref{Repo: repo, Tag: found.name}) {
		found.pinned = true
		n.flags |= pinned
	}
	n.lastUse = max(n.lastUse, found.updated)
	if d := subjectOf(found.name); d != "" && !l.removal.has(repo, found.name) {
		if subject := l.find(t.Repo, pack(d)); subject >= 0 && subject != place {
			found.referrer = true
			l.addEdge(place, subject, true)
		}
	}
	l.tags.add(found)
}

// subjectOf returns which manifest a tag belongs to by its name, or "". Signatures and the like are found by
// sha256-<hex>.sig (or .att or .sbom) where the referrers API is not used, and lists of referrers by sha256-<hex>:
// https://github.com/opencontainers/distribution-spec/blob/main/spec.md#referrers-tag-schema
func subjectOf(tag string) digest.Digest {
	name, _, _ := strings.Cut(tag, ".")
	algorithm, encoded, ok := strings.Cut(name, "-")
	if !ok || algorithm != "sha256" && algorithm != "sha512" {
		return ""
	}
	d, err := mirror.ParseDigest(algorithm + ":" + encoded)
	if err != nil {
		return ""
	}
	return d
}
