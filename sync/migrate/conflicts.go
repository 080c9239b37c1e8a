package migrate

import (
	"context"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

// meeting is a repository that several names of the place mean: nginx, library/nginx and docker.io/library/nginx are one
// image to Docker.
type nameGroup struct {
	repo  mirror.Repo
	names []string
}

// spoken is what a name says of a tag.
type taggedDigest struct {
	name   string
	digest digest.Digest
}

// meet finds the tags that several names mean and that are not the same under each. None of them is taken: which one is
// right is not for a mirror to choose.
func (r *run) findConflicts(ctx context.Context, names []string) error {
	for _, m := range r.sharedNames(names) {
		tags := make(map[string][]taggedDigest)
		for _, name := range m.names {
			r.Doing(name)
			for root, err := range r.source.roots(ctx, name) {
				if endsRun(ctx, err) {
					return runError(ctx, err)
				}
				if err == nil && root.tag != "" { // what cannot be read is left out when its turn comes
					tags[root.tag] = append(tags[root.tag], taggedDigest{name, root.digest})
				}
			}
		}
		for tag, list := range tags {
			r.recordConflicts(m.repo, tag, list)
		}
	}
	return ctx.Err()
}

// meetings are the repositories that more than one of the names means.
func (r *run) sharedNames(names []string) []nameGroup {
	var list []nameGroup
	found := make(map[mirror.Repo]int)
	for _, name := range names {
		repo, err := r.names.Repo(name, "")
		if err != nil {
			continue // told when its turn comes
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
	var several []nameGroup
	for _, m := range list {
		if len(m.names) > 1 {
			several = append(several, m)
		}
	}
	return several
}

// compare notes a conflict for each name of a tag whose content is not that of the others.
func (r *run) recordConflicts(repo mirror.Repo, tag string, list []taggedDigest) {
	for _, s := range list {
		for _, other := range list {
			if other.digest == s.digest {
				continue
			}
			r.conflicts[s.name+":"+tag] = mirror.Errorf(mirror.CodeNameInvalid,
				"it is %s, and %s:%s is %s, and both names mean %s:%s: neither was taken, choose one repository with --repo",
				s.digest, other.name, tag, other.digest, repo, tag)
			break
		}
	}
}
