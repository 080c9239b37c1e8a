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

// foundImage is an image of an archive, under a name.
type foundImage struct {
	ref  mirror.Ref // with a digest if its name has one; with neither tag nor digest if it has no name
	node *node
	why  string
}

// name finds out what the images of an archive are called, and puts them into their repositories. What has no name and is
// a part of another image, or refers to one, goes with that. An image without a name that can be used is left out, unless
// it is all that there is.
func (in *importer) nameImages(ctx context.Context, t *imageTree, roots []bundle.Root) ([]foundImage, error) {
	var found []foundImage
	var nameless, companions []int
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
			companions = append(companions, i)
			continue
		case len(refs[i]) == 0:
			nameless = append(nameless, i)
			continue
		case b.err != nil:
			return nil, mirror.Errorf(mirror.CodeBundleInvalid, "%s is not whole in it: %w", refs[i][0], b.err)
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
	about, err := in.placeCosign(ctx, t, roots, branches, companions)
	if err != nil {
		return nil, err
	}
	referrers, err := addReferrers(branches, nameless, t)
	if err != nil {
		return nil, err
	}
	found = append(append(found, about...), referrers...)
	for _, i := range nameless {
		if len(branches[i].repos) == 0 {
			in.skip(branches[i].digest.String(), "it has no name in the archive: --tag names one image")
		}
	}
	return found, in.reportSkipped(len(found) > 0)
}

// reasonSubjectSkipped is why what is about an image is left out: what is said of that one counts.
const reasonSubjectSkipped = "it is about an image that is not taken in from the archive"

// skippedImage is what an archive has that is not taken in.
type skippedImage struct{ name, reason string }

// leave leaves something out. Of several reasons, the first counts.
func (in *importer) skip(name, reason string) {
	if !in.skippedNames[name] {
		if in.skippedNames == nil {
			in.skippedNames = make(map[string]bool)
		}
		in.skippedNames[name] = true
		in.skipped = append(in.skipped, skippedImage{name, reason})
	}
}

// reportSkipped tells what was left out. It is an error if nothing else is taken in.
func (in *importer) reportSkipped(others bool) error {
	if !others && len(in.skipped) > 0 {
		first := in.skipped[max(0, slices.IndexFunc(in.skipped, func(l skippedImage) bool { return l.reason != reasonSubjectSkipped }))]
		return mirror.Errorf(mirror.CodeNameInvalid, "image %s cannot be taken in: %s", first.name, first.reason)
	}
	for _, l := range in.skipped {
		in.report(Event{Kind: KindSkipped, Name: l.name, Reason: l.reason})
	}
	in.summary.Skipped = len(in.skipped)
	return nil
}

// partsOf are what is directly under an image.
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

// single reports whether an archive is of one image: whatever else is in it has a subject or belongs to it.
func single(roots []bundle.Root, branches []*node, parts map[*node]bool) bool {
	count := 0
	for i, root := range roots {
		if !isPart(root, branches[i], parts) {
			count++
		}
	}
	return count == 1
}

// belongs reports whether a manifest without a name is a part of another one, or refers to one. What cosign saved about
// an image may have the name of that.
func isPart(root bundle.Root, b *node, parts map[*node]bool) bool {
	return root.CosignSuffix != "" || len(root.Names) == 0 && root.Tag == "" && (b.subject != "" || parts[b])
}

// refs are the names of images, as --tag or the archive has them; none of what goes with another image, or has no name
// that can be used.
func (in *importer) assignNames(roots []bundle.Root, branches []*node) ([][]mirror.Ref, error) {
	tag, tagged, err := in.parseTag()
	if err != nil {
		return nil, err
	}
	parts := partsOf(branches)
	single := single(roots, branches, parts)
	byDigest := rootsByDigest(roots)
	refs, reasons := make([][]mirror.Ref, len(roots)), make([]string, len(roots))
	var without []int // images without a name
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
			return nil, mirror.Errorf(mirror.CodeNameInvalid, "there are several images in it, %d of them without a name, and --tag names one: leave it out, or leave out its tag to name their repository", len(without))
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

// tag reads --tag.
func (in *importer) parseTag() (ref mirror.Ref, tagged bool, err error) {
	if in.req.Tag == "" {
		return ref, false, nil
	}
	ref, tagged, err = prefetch.ParseName(in.service.mirror.Names(), in.req.Tag)
	if err != nil {
		return ref, false, mirror.Errorf(mirror.CodeNameInvalid, "--tag %q is no name with a tag, as registry.example/app:v1: %w", in.req.Tag, err)
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

// sharesName reports whether a manifest refers to an image that has the same name in the archive: it goes with that.
func sharesName(root bundle.Root, b *node, byDigest map[digest.Digest]bundle.Root) bool {
	subject, ok := byDigest[b.subject]
	return ok && len(root.Names)+len(root.Tag) > 0 && slices.Equal(root.Names, subject.Names) && root.Tag == subject.Tag
}

// placeholders are what tools write where an image has no name, or its tag is only made up.
const (
	noName = "<none>"
	// noTag is what crane pull calls an image that was pulled by its digest.
	noTag = "i-was-a-digest"
)

// tagsOf reads the names that an archive has for an image, and says why one cannot be used.
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
			reason = fmt.Sprintf("its name %q cannot be used: %s; --tag names one image", name, err)
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
		reason = fmt.Sprintf("it is only called %q in the archive: name the repository of such images with --tag", root.Tag)
	}
	return refs, reason
}

// refer puts what refers to an image into its repositories, and what refers to that.
func addReferrers(branches []*node, nameless []int, t *imageTree) (found []foundImage, err error) {
	referrers := make(map[digest.Digest][]*node)
	var queue []*node
	for _, i := range nameless {
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

// checkFound refuses one name for two images.
func checkFound(found []foundImage) error {
	named := make(map[mirror.Ref]*node)
	for _, f := range found {
		if f.ref.Tag == "" {
			continue
		}
		name := mirror.Ref{Repo: f.ref.Repo, Tag: f.ref.Tag}
		if other := named[name]; other != nil && other != f.node {
			return mirror.Errorf(mirror.CodeBundleInvalid, "there are two images in it that are called %s: %s", name,
				strings.Join([]string{other.digest.String(), f.node.digest.String()}, " and "))
		}
		named[name] = f.node
	}
	return nil
}
