package transfer

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
	"airmirror/sync/bundle"
	"airmirror/sync/prefetch"
)

// foundImage is an image of an archive under one name.
type foundImage struct {
	ref  mirror.Ref // with a digest if its name has one; without tag and digest if it has no name
	node *node
	why  string
}

// nameImages assigns names to the images of an archive and adds them to their repositories. A manifest without a name
// that is a part of an image, or refers to one, is added with that image. An image without a usable name is skipped. If
// nothing else remains, that is an error.
func (in *importer) nameImages(ctx context.Context, t *imageTree, roots []bundle.Root) ([]foundImage, error) {
	var found []foundImage
	var unnamed, cosignRoots []int
	branches := make([]*node, len(roots))
	for i, root := range roots {
		var err error
		if branches[i], err = t.walk(ctx, root.Descriptor); err != nil {
			return nil, err
		}
	}
	refs, err := in.assignNames(roots, branches)
	if err != nil {
		return nil, err
	}
	for i, root := range roots {
		b := branches[i]
		switch {
		case root.CosignSuffix != "":
			cosignRoots = append(cosignRoots, i)
			continue
		case len(refs[i]) == 0:
			unnamed = append(unnamed, i)
			continue
		case b.err != nil:
			return nil, mirror.Errorf(mirror.CodeBundleInvalid, "the archive lacks a part of %s: %w", refs[i][0], b.err)
		}
		for _, ref := range refs[i] {
			if err := t.addTo(b, ref.Repo); err != nil {
				return nil, err
			}
			found = append(found, foundImage{ref: ref, node: b})
		}
	}
	if err := checkFound(found); err != nil {
		return nil, err
	}
	cosign, err := in.placeCosign(ctx, t, roots, branches, cosignRoots)
	if err != nil {
		return nil, err
	}
	referrers, err := addReferrers(branches, unnamed, t)
	if err != nil {
		return nil, err
	}
	found = append(append(found, cosign...), referrers...)
	for _, i := range unnamed {
		if len(branches[i].repos) == 0 {
			in.skip(branches[i].digest.String(), "it has no name in the archive: --tag can name one image")
		}
	}
	return found, in.reportSkipped(len(found) > 0)
}

// reasonSubjectSkipped is the reason for skipping referrers of skipped images. The reason for the image matters more.
const reasonSubjectSkipped = "it refers to an image that is not imported from the archive"

// skippedImage is an image of an archive that is not imported.
type skippedImage struct{ name, reason string }

// skip records a skipped image. Of several reasons, the first one counts.
func (in *importer) skip(name, reason string) {
	if !in.skippedNames[name] {
		if in.skippedNames == nil {
			in.skippedNames = make(map[string]bool)
		}
		in.skippedNames[name] = true
		in.skipped = append(in.skipped, skippedImage{name, reason})
	}
}

// reportSkipped reports the skipped images. If there are no others, it returns an error.
func (in *importer) reportSkipped(hasOthers bool) error {
	if !hasOthers && len(in.skipped) > 0 {
		first := in.skipped[max(0, slices.IndexFunc(in.skipped, func(l skippedImage) bool { return l.reason != reasonSubjectSkipped }))]
		return mirror.Errorf(mirror.CodeNameInvalid, "image %s cannot be imported: %s", first.name, first.reason)
	}
	for _, l := range in.skipped {
		in.report(Event{Kind: KindSkipped, Name: l.name, Reason: l.reason})
	}
	in.summary.Skipped = len(in.skipped)
	return nil
}

// partsOf returns the direct children of the images.
func partsOf(branches []*node) map[*node]bool {
	parts, seen := make(map[*node]bool), make(map[*node]bool)
	for _, b := range branches {
		if seen[b] {
			continue
		}
		seen[b] = true
		for _, child := range b.children {
			parts[child] = true
		}
	}
	return parts
}

// single reports whether an archive has one image: everything else refers to it or is a part of it.
func single(roots []bundle.Root, branches []*node, parts map[*node]bool) bool {
	count := 0
	for i, root := range roots {
		if !isPart(root, branches[i], parts) {
			count++
		}
	}
	return count == 1
}

// isPart reports whether a manifest without a name is a part of another manifest, or refers to another one. Signatures
// and attestations that cosign saved may have the name of their image.
func isPart(root bundle.Root, b *node, parts map[*node]bool) bool {
	return root.CosignSuffix != "" || len(root.Names) == 0 && root.Tag == "" && (b.subject != "" || parts[b])
}

// assignNames returns the names of the roots, from --tag or from the archive. Roots that belong to another image, or
// have no usable name, have none.
func (in *importer) assignNames(roots []bundle.Root, branches []*node) ([][]mirror.Ref, error) {
	tag, tagged, err := in.parseTag()
	if err != nil {
		return nil, err
	}
	parts := partsOf(branches)
	single := single(roots, branches, parts)
	byDigest := rootsByDigest(roots)
	refs, reasons := make([][]mirror.Ref, len(roots)), make([]string, len(roots))
	var without []int // indexes of images without a name
	for i, root := range roots {
		part := isPart(root, branches[i], parts)
		switch {
		case part && (single || root.CosignSuffix != "") || sharesName(root, branches[i], byDigest):
		case in.req.Tag != "" && !tagged && mirror.ValidTag(root.Tag) && (single || len(root.Names) == 0):
			refs[i] = []mirror.Ref{{Repo: tag.Repo, Tag: root.Tag}}
		case in.req.Tag != "" && single:
			if err := tag.Check(root.Descriptor.Digest); err != nil {
				return nil, mirror.Errorf(mirror.CodeNameInvalid, "--tag %q: %w", in.req.Tag, err)
			}
			refs[i] = []mirror.Ref{tag}
		default:
			refs[i], reasons[i] = in.archiveNames(root)
			if len(refs[i]) == 0 && !part {
				without = append(without, i)
			}
		}
	}
	if tagged && !single {
		if len(without) != 1 {
			return nil, mirror.Errorf(mirror.CodeNameInvalid, "the archive has several images, %d of them without a name, and --tag names one: omit --tag, or pass a repository without a tag", len(without))
		}
		if err := tag.Check(roots[without[0]].Descriptor.Digest); err != nil {
			return nil, mirror.Errorf(mirror.CodeNameInvalid, "--tag %q: %w", in.req.Tag, err)
		}
		refs[without[0]] = []mirror.Ref{tag}
		reasons[without[0]] = ""
	}
	for i, reason := range reasons {
		if reason != "" {
			in.skip(roots[i].Descriptor.Digest.String(), reason)
		}
	}
	return refs, nil
}

// parseTag parses --tag. tagged reports whether it has a tag.
func (in *importer) parseTag() (ref mirror.Ref, tagged bool, err error) {
	if in.req.Tag == "" {
		return ref, false, nil
	}
	ref, tagged, err = prefetch.ParseName(in.service.mirror.Names(), in.req.Tag)
	if err != nil {
		return ref, false, mirror.Errorf(mirror.CodeNameInvalid, "--tag %q is not a name with a tag, like registry.example/app:v1: %w", in.req.Tag, err)
	}
	return ref, tagged, nil
}

func rootsByDigest(roots []bundle.Root) map[digest.Digest]bundle.Root {
	byDigest := make(map[digest.Digest]bundle.Root, len(roots))
	for _, root := range roots {
		byDigest[root.Descriptor.Digest] = root
	}
	return byDigest
}

// sharesName reports whether a manifest refers to an image that has the same name in the archive. It is then added with
// that image.
func sharesName(root bundle.Root, b *node, byDigest map[digest.Digest]bundle.Root) bool {
	subject, ok := byDigest[b.subject]
	return ok && len(root.Names)+len(root.Tag) > 0 && slices.Equal(root.Names, subject.Names) && root.Tag == subject.Tag
}

// Placeholders that tools write for images without a name or tag.
const (
	noName = "<none>"
	// noTag is the tag that crane pull writes for an image that was pulled by its digest.
	noTag = "i-was-a-digest"
)

// archiveNames parses the names that an archive has for an image. It returns the reason if a name cannot be used.
func (in *importer) archiveNames(root bundle.Root) (refs []mirror.Ref, reason string) {
	for _, name := range root.Names {
		if strings.HasPrefix(name, noName) {
			continue
		}
		ref, _, err := prefetch.ParseName(in.service.mirror.Names(), strings.TrimSuffix(name, ":"+noName))
		if err == nil {
			err = ref.Check(root.Descriptor.Digest)
		}
		if err != nil {
			reason = fmt.Sprintf("its name %q cannot be used: %s; --tag can name one image", name, err)
			continue
		}
		if ref.Tag == noTag || strings.HasSuffix(name, ":"+noName) {
			ref = mirror.Ref{Repo: ref.Repo, Digest: root.Descriptor.Digest}
		}
		if !slices.Contains(refs, ref) {
			refs = append(refs, ref)
		}
	}
	if len(refs) == 0 && reason == "" && root.Tag != "" {
		reason = fmt.Sprintf("the archive has only the tag %q for it: name the repository of such images with --tag", root.Tag)
	}
	return refs, reason
}

// addReferrers adds referrers without names to the repositories of their subjects, and their own referrers as well.
func addReferrers(branches []*node, unnamed []int, t *imageTree) (found []foundImage, err error) {
	referrers := make(map[digest.Digest][]*node)
	var queue []*node
	for _, i := range unnamed {
		b := branches[i]
		if b.subject == "" || b.err != nil {
			continue
		}
		if subject := t.seen[b.subject]; subject != nil && len(subject.repos) > 0 && len(referrers[b.subject]) == 0 {
			queue = append(queue, subject)
		}
		referrers[b.subject] = append(referrers[b.subject], b)
	}
	for ; len(queue) > 0; queue = queue[1:] {
		subject := queue[0]
		for _, b := range referrers[subject.digest] {
			for _, repo := range subject.repos {
				if b.inRepo[repo] {
					continue
				}
				t.recentlyAdded = nil
				if err := t.addTo(b, repo); err != nil {
					return nil, err
				}
				found = append(found, foundImage{ref: mirror.Ref{Repo: repo}, node: b, why: bundle.WhyReferrer})
				queue = append(queue, t.recentlyAdded...)
			}
		}
	}
	return found, nil
}

// checkFound rejects two images with the same name.
func checkFound(found []foundImage) error {
	named := make(map[mirror.Ref]*node)
	for _, f := range found {
		if f.ref.Tag == "" {
			continue
		}
		name := mirror.Ref{Repo: f.ref.Repo, Tag: f.ref.Tag}
		if other := named[name]; other != nil && other != f.node {
			return mirror.Errorf(mirror.CodeBundleInvalid, "the archive has two images with the name %s: %s", name,
				strings.Join([]string{other.digest.String(), f.node.digest.String()}, " and "))
		}
		named[name] = f.node
	}
	return nil
}
