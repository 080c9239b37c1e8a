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

// applyBase marks what the destination has, according to its receipt and to earlier exports. receipt may be nil. It
// returns the bundles that this one builds on, the latest one last.
func (p *planner) applyBase(ctx context.Context, receipt io.Reader) ([]bundle.Origin, error) {
	builds := make(map[string]bundle.Origin)
	if p.req.Have {
		if receipt == nil {
			return nil, mirror.Errorf(mirror.CodeUnsupported, "the request has no receipt of the destination")
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

// assume marks d as stored at the destination. base is the ID of the bundle that contains it, or empty. assume reports
// whether d is part of the plan.
func (p *planner) assume(d digest.Digest, base string) bool {
	it := p.items[d]
	if it == nil {
		return false
	}
	it.assumed, it.base = true, cmp.Or(base, it.base)
	return true
}

// applyReceipt marks what a receipt lists. It reads the receipt as a stream.
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

// maxBaseBundles is the maximum number of bundles that are accepted from a receipt, which is untrusted.
const maxBaseBundles = 1000

// applyHistory marks what was exported for the destination, up to the bundle that the request names.
func (p *planner) applyHistory(ctx context.Context, builds map[string]bundle.Origin) error {
	sent, err := p.service.exportedTo(ctx, p.req.To)
	if err != nil {
		return err
	}
	if p.req.Since == "last" && len(sent) == 0 {
		return p.service.firstExportError(ctx, p.req.To)
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

// firstExportError returns the error for a destination that nothing was exported for: its name may be misspelt.
func (svc *Service) firstExportError(ctx context.Context, destination string) error {
	all, err := svc.History(ctx)
	if err != nil {
		return err
	}
	var known []string
	for _, s := range all {
		if s.Destination != "" && !slices.Contains(known, s.Destination) {
			known = append(known, s.Destination)
		}
	}
	text := ""
	if len(known) > 0 {
		text = "; earlier exports were for " + joinNames(known)
	}
	return mirror.Errorf(mirror.CodeUnsupported, "nothing was exported for %s before: leave out --since for its first bundle%s", destinationName(destination), text)
}

// unknownBundle returns the error for a bundle that was not exported. It lists the exported ones, the latest one first.
func unknownBundle(req ExportRequest, sent []ExportedBundle) error {
	if len(sent) == 0 {
		return mirror.Errorf(mirror.CodeManifestUnknown, "bundle %.100s was not exported for %s, and neither was any other: omit --since, or see 'mirror export --history'", req.Since, destinationName(req.To))
	}
	var known []string
	for _, s := range slices.Backward(sent) {
		known = append(known, fmt.Sprintf("%s (number %d, created %s)", s.ID, s.Sequence, s.Created.Format(time.DateOnly)))
	}
	return mirror.Errorf(mirror.CodeManifestUnknown, "bundle %.100s was not exported for %s; exported were: %s; 'last' means the first of these", req.Since, destinationName(req.To), joinNames(known))
}

// destinationName names a destination for people.
func destinationName(destination string) string {
	if destination == "" {
		return "a destination without a name"
	}
	return destination
}
