package transfer

import (
	"context"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
	"airmirror/sync/bundle"
	"airmirror/sync/images"
)

// foundImage is an image of an archive, under a name.
type foundImage struct {
	ref    mirror.Ref // with a digest if its name has one; with neither tag nor digest if it has no name
	branch *branch
	why    string
}

// name finds out what the images of an archive are called, and puts them into their repositories. What has no name and is
// a part of another image, or refers to one, goes with that.
func (in *importing) name(ctx context.Context, t *tree, roots []bundle.Root) ([]foundImage, error) {
	var found []foundImage
	var nameless []*branch
	branches := make([]*branch, len(roots))
	for i, root := range roots {
		var err error
		if branches[i], err = t.grow(ctx, root.Descriptor, 0); err != nil {
			return nil, err
		}
	}
	parts := partsOf(branches)
	single := single(roots, branches, parts)
	for i, root := range roots {
		b := branches[i]
		if single && belongs(root, b, parts) {
			nameless = append(nameless, b)
			continue
		}
		refs, err := in.refs(root, single)
		if err != nil {
			return nil, err
		}
		if len(refs) == 0 {
			nameless = append(nameless, b)
			continue
		}
		if b.err != nil {
			return nil, mirror.Errorf(mirror.CodeBundleInvalid, "%s is not whole in it: %w", refs[0], b.err)
		}
		for _, ref := range refs {
			if err := t.enter(b, ref.Repo); err != nil {
				return nil, err
			}
			found = append(found, foundImage{ref: ref, branch: b})
		}
	}
	referrers, err := refer(nameless, t)
	if err != nil {
		return nil, err
	}
	found = append(found, referrers...)
	if err := in.checkFound(found); err != nil {
		return nil, err
	}
	for _, b := range nameless {
		if len(b.repos) == 0 {
			return nil, mirror.Errorf(mirror.CodeNameInvalid, "image %s has no name in it: name it with --tag, if it is the only one", b.digest)
		}
	}
	return found, nil
}

// partsOf are what is directly under an image.
func partsOf(branches []*branch) map[*branch]bool {
	parts, seen := make(map[*branch]bool), make(map[*branch]bool)
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
func single(roots []bundle.Root, branches []*branch, parts map[*branch]bool) bool {
	count := 0
	for i, root := range roots {
		if !belongs(root, branches[i], parts) {
			count++
		}
	}
	return count == 1
}

// belongs reports whether a manifest without a name is a part of another one, or refers to one.
func belongs(root bundle.Root, b *branch, parts map[*branch]bool) bool {
	return len(root.Names) == 0 && root.Tag == "" && (b.subject != "" || parts[b])
}

// refs are the names of an image.
func (in *importing) refs(root bundle.Root, single bool) ([]mirror.Ref, error) {
	names := in.c.mirror.Names()
	if in.req.Tag != "" {
		ref, tagged, err := images.ParseName(names, in.req.Tag)
		switch {
		case err != nil:
			return nil, mirror.Errorf(mirror.CodeNameInvalid, "--tag %q is no name with a tag, as registry.example/app:v1: %w", in.req.Tag, err)
		case ref.Check(root.Descriptor.Digest) != nil && single:
			return nil, mirror.Errorf(mirror.CodeNameInvalid, "--tag %q: %w", in.req.Tag, ref.Check(root.Descriptor.Digest))
		case single && !tagged && root.Tag != "" && mirror.ValidTag(root.Tag), !single && !tagged && len(root.Names) == 0 && mirror.ValidTag(root.Tag):
			ref.Tag = root.Tag
			return []mirror.Ref{ref}, nil
		case single:
			return []mirror.Ref{ref}, nil
		case tagged:
			return nil, mirror.Errorf(mirror.CodeNameInvalid, "there are several images in it, and --tag names one: leave it out, or leave out its tag to name their repository")
		}
	}
	var refs []mirror.Ref
	for _, name := range root.Names {
		ref, _, err := images.ParseName(names, name)
		if err == nil {
			err = ref.Check(root.Descriptor.Digest)
		}
		if err != nil {
			return nil, mirror.Errorf(mirror.CodeNameInvalid, "an image in it is called %q: %w", name, err)
		}
		if !slices.Contains(refs, ref) {
			refs = append(refs, ref)
		}
	}
	return refs, nil
}

// refer puts what refers to an image into its repositories, and what refers to that.
func refer(nameless []*branch, t *tree) (found []foundImage, err error) {
	referrers := make(map[digest.Digest][]*branch)
	var queue []*branch
	for _, b := range nameless {
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
				if b.in[repo] {
					continue
				}
				t.recent = nil
				if err := t.enter(b, repo); err != nil {
					return nil, err
				}
				found = append(found, foundImage{ref: mirror.Ref{Repo: repo}, branch: b, why: bundle.WhyReferrer})
				queue = append(queue, t.recent...)
			}
		}
	}
	return found, nil
}

// checkFound refuses one name for two images.
func (in *importing) checkFound(found []foundImage) error {
	named := make(map[mirror.Ref]*branch)
	for _, f := range found {
		if f.ref.Tag == "" {
			continue
		}
		name := mirror.Ref{Repo: f.ref.Repo, Tag: f.ref.Tag}
		if other := named[name]; other != nil && other != f.branch {
			return mirror.Errorf(mirror.CodeBundleInvalid, "there are two images in it that are called %s: %s", name,
				strings.Join([]string{other.digest.String(), f.branch.digest.String()}, " and "))
		}
		named[name] = f.branch
	}
	return nil
}
