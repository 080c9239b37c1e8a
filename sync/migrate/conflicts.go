package migrate

import (
	"context"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

// nameGroup is a repository with several names at the source: nginx, library/nginx and docker.io/library/nginx mean the
// same image to Docker.
type nameGroup struct {
	repo  mirror.Repo
	names []string
}

// taggedDigest is the digest of a tag under one of several names.
type taggedDigest struct {
	name   string
	digest digest.Digest
}

// findConflicts records the tags that differ between the names of one repository. None of them is migrated: the mirror cannot
// know which one is right.
func (r *run) findConflicts(ctx context.Context, names []string) error {
	for _, group := range r.sharedNames(names) {
		tags := make(map[string][]taggedDigest)
		for _, name := range group.names {
			r.SetCurrent(name)
			for root, err := range r.source.roots(ctx, name) {
				if endsRun(ctx, err) {
					return runError(ctx, err)
				}
				if err == nil && root.tag != "" { // the walk reports errors
					tags[root.tag] = append(tags[root.tag], taggedDigest{name, root.digest})
				}
			}
		}
		for tag, list := range tags {
			r.recordConflicts(group.repo, tag, list)
		}
	}
	return ctx.Err()
}

// sharedNames returns the repositories that have more than one of the names.
func (r *run) sharedNames(names []string) []nameGroup {
	var list []nameGroup
	found := make(map[mirror.Repo]int)
	for _, name := range names {
		repo, err := r.names.Repo(name, "")
		if err != nil {
			continue // the walk reports it
		}
		if long, ok := mirror.LongName(repo); ok {
			repo = long
		}
		i, known := found[repo]
		if !known {
			i = len(list)
			found[repo] = i
			list = append(list, nameGroup{repo: repo})
		}
		list[i].names = append(list[i].names, name)
	}
	var shared []nameGroup
	for _, group := range list {
		if len(group.names) > 1 {
			shared = append(shared, group)
		}
	}
	return shared
}

// recordConflicts records a conflict for each name whose tag has another digest than under another name.
func (r *run) recordConflicts(repo mirror.Repo, tag string, list []taggedDigest) {
	for _, t := range list {
		for _, other := range list {
			if other.digest == t.digest {
				continue
			}
			r.conflicts[t.name+":"+tag] = mirror.Errorf(mirror.CodeNameInvalid,
				"it points at %s, and %s:%s points at %s, but both names mean %s:%s: neither was migrated, choose one repository with --repo",
				t.digest, other.name, tag, other.digest, repo, tag)
			break
		}
	}
}
