package transfer

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
	"airmirror/sync/bundle"
)

// applyBase marks what the other side has: by its receipt, which may be nil, and by what was sent to it before. It returns
// the bundles that this one builds on, the latest last.
func (p *planner) applyBase(ctx context.Context, receipt io.Reader) ([]bundle.Origin, error) {
	builds := make(map[string]bundle.Origin)
	if p.req.Have {
		if receipt == nil {
			return nil, mirror.Errorf(mirror.CodeUnsupported, "the receipt of the other side did not come with the request")
		}
		if err := p.applyReceipt(ctx, receipt, builds); err != nil {
			return nil, err
		}
	}
	if p.req.Since != "" {
		if err := p.applyHistory(ctx, builds); err != nil {
			return nil, err
		}
	}
	list := make([]bundle.Origin, 0, len(builds))
	for _, origin := range builds {
		list = append(list, origin)
	}
	slices.SortFunc(list, func(a, b bundle.Origin) int {
		return cmp.Or(cmp.Compare(a.Sequence, b.Sequence), a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID))
	})
	return list, nil
}

// leave marks d, if it goes out at all, and reports whether it does.
func (p *planner) assume(d digest.Digest, by string) bool {
	it := p.items[d]
	if it == nil {
		return false
	}
	it.assumed, it.base = true, cmp.Or(by, it.base)
	return true
}

// applyReceipt reads a receipt as it comes.
func (p *planner) applyReceipt(ctx context.Context, receipt io.Reader, builds map[string]bundle.Origin) error {
	identity, err := p.service.Identity(ctx)
	if err != nil {
		return err
	}
	found, imported := false, []ImportedBundle{}
	for entry, err := range ReadReceipt(receipt) {
		switch {
		case err != nil:
			return err
		case entry.Manifest != nil:
			found = p.assume(entry.Manifest.Digest, "") || found
		case entry.Blob != "":
			found = p.assume(entry.Blob, "") || found
		case entry.Imported != nil && entry.Imported.Source == identity && len(imported) < maxBaseBundles:
			imported = append(imported, *entry.Imported)
		}
	}
	if found {
		for _, b := range imported {
			builds[b.ID] = bundle.Origin{ID: b.ID, Sequence: b.Sequence, Created: b.Created}
		}
	}
	return nil
}

// maxBaseBundles is how many bundles that a receipt names are believed.
const maxBaseBundles = 1000

// applyHistory marks what was sent to the destination, up to the bundle that the request names.
func (p *planner) applyHistory(ctx context.Context, builds map[string]bundle.Origin) error {
	sent, err := p.service.exportedTo(ctx, p.req.To)
	if err != nil {
		return err
	}
	if p.req.Since != "last" {
		i := slices.IndexFunc(sent, func(s ExportedBundle) bool { return s.ID == p.req.Since })
		if i < 0 {
			return unknownBundle(p.req, sent)
		}
		sent = sent[:i+1]
	}
	for _, s := range sent {
		err := p.service.exportedDigests(ctx, s, func(d digest.Digest) {
			if p.assume(d, s.ID) {
				builds[s.ID] = bundle.Origin{ID: s.ID, Sequence: s.Sequence, Created: s.Created}
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// unknownBundle says of a bundle that was not sent which ones were, the last ones first.
func unknownBundle(req ExportRequest, sent []ExportedBundle) error {
	if len(sent) == 0 {
		return mirror.Errorf(mirror.CodeManifestUnknown, "no bundle %.100s was sent to %s, nor was any other: leave out --since, or see 'mirror export --history'", req.Since, destinationName(req.To))
	}
	var known []string
	for _, s := range slices.Backward(sent) {
		known = append(known, fmt.Sprintf("%s (number %d, made %s)", s.ID, s.Sequence, s.Created.Format(time.DateOnly)))
	}
	return mirror.Errorf(mirror.CodeManifestUnknown, "no bundle %.100s was sent to %s: these were: %s; 'last' means the one that is named first", req.Since, destinationName(req.To), joinNames(known))
}

// called is how people read of a destination.
func destinationName(destination string) string {
	if destination == "" {
		return "a destination without a name"
	}
	return destination
}
