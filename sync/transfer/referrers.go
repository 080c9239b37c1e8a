package transfer

import (
	"context"
	"strings"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
	"airmirror/sync/bundle"
)

// referrersPageBytes is how many bytes of referrers are read at a time.
const referrersPageBytes = 1 << 20

// referrers adds what refers to a manifest, to be looked at later: by the referrers API, and by the tags that cosign
// uses. What refers to that is found when it is looked at.
func (p *planner) addReferrers(ctx context.Context, at place, lenient bool) error {
	found := root{why: bundle.WhyReferrer, subject: at.digest, lenient: lenient}
	for after, more := digest.Digest(""), true; more; {
		descs, goesOn, err := p.service.store.Referrers(ctx, at.repo, at.digest, after, pageSize, referrersPageBytes)
		if err != nil {
			return err
		}
		for _, desc := range descs {
			found.ref = mirror.Ref{Repo: at.repo, Digest: desc.Digest}
			p.add(found)
			after = desc.Digest
		}
		more = goesOn
	}
	for _, suffix := range []string{".sig", ".att", ".sbom"} {
		found.ref = mirror.Ref{Repo: at.repo, Tag: strings.Replace(at.digest.String(), ":", "-", 1) + suffix}
		_, err := p.service.store.Tag(ctx, found.ref.Repo, found.ref.Tag)
		switch {
		case err == nil:
			p.add(found)
		case mirror.CodeOf(err) != mirror.CodeManifestUnknown:
			return err
		}
	}
	return nil
}
