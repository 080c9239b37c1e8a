package prefetch

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"airmirror/mirror"
)

// ParseName reads an image's name as people write it, see the package comment. The reference has a tag, a digest, or both.
// tagged is false if there is neither in the name: the reference is to latest then.
func ParseName(names mirror.Names, name string) (ref mirror.Ref, tagged bool, err error) {
	ref, d, tagged, err := parseName(names, name)
	if err == nil && d != "" {
		ref.Digest, err = mirror.ParseDigest(d)
	}
	return ref, tagged && err == nil, err
}

// Find reads the name of something that is stored. It is [ParseName], but for two things: a digest may be shortened
// ([mirror.FindDigest]), and a short name of Docker Hub stands for one in library unless there is a repository that is
// called so, as for who asks by the registry API.
func Find(ctx context.Context, store mirror.Catalog, names mirror.Names, name string) (ref mirror.Ref, tagged bool, err error) {
	ref, d, tagged, err := parseName(names, name)
	if err != nil {
		return ref, tagged, mirror.Errorf(mirror.CodeNameInvalid, "%q: %w", name, err)
	}
	ref.Repo = storedRepo(ctx, store, names, name, ref.Repo)
	short, library := strings.CutPrefix(ref.Repo.Path, "library/")
	if _, own := names.Bare(name); !own && library && ref.Repo.Host == mirror.DockerHub && !strings.Contains(name, "library/") {
		named := mirror.Repo{Host: ref.Repo.Host, Path: short}
		if _, err := store.RepoOrigin(ctx, named); err == nil {
			ref.Repo = named
		}
	}
	if d != "" {
		ref.Digest, err = mirror.FindDigest(ctx, store, ref.Repo, d)
	}
	if code := mirror.CodeOf(err); err != nil && code != mirror.CodeUnknown {
		if code == mirror.CodeDigestInvalid {
			code = mirror.CodeNameInvalid
		}
		err = mirror.Errorf(code, "%q: %w", name, err)
	}
	return ref, tagged, err
}

// stored returns what a name with an address of this mirror in front stands for. A short one may stand for one in library,
// as for who asks by the registry API; and what was stored under the address itself, as that of another registry, keeps it.
func storedRepo(ctx context.Context, store mirror.Catalog, names mirror.Names, name string, repo mirror.Repo) mirror.Repo {
	if _, own := names.Bare(name); !own {
		return repo
	}
	candidates := []mirror.Repo{repo}
	if long, ok := mirror.LongName(repo); ok {
		candidates = append(candidates, long)
	}
	host, path, _ := strings.Cut(name, "/")
	path, _, _ = strings.Cut(path, "@")
	if i := strings.LastIndexByte(path, ':'); i > strings.LastIndexByte(path, '/') {
		path = path[:i]
	}
	for _, candidate := range append(candidates, mirror.Repo{Host: strings.ToLower(host), Path: path}) {
		if _, err := store.RepoOrigin(ctx, candidate); err == nil {
			return candidate
		}
	}
	return repo
}

// idPattern is what Docker and Kubernetes write where an image has an ID and no name. Docker takes 64 hexadecimal digits
// for one as well, and for no name.
var idPattern = regexp.MustCompile(`^(sha256:)?[0-9a-f]{64}$`)

// IsID reports whether a name is the ID of an image: the digest of its config, which only the machine knows that it is on.
func IsID(name string) bool { return idPattern.MatchString(name) }

// WithoutIDs returns what of a list names images, and how many IDs were in it.
func WithoutIDs(list []string) (names []string, ids int) {
	for _, name := range list {
		if IsID(name) {
			ids++
			continue
		}
		names = append(names, name)
	}
	return names, ids
}

// parse reads a name, of which it leaves the digest as it is.
func parseName(names mirror.Names, name string) (ref mirror.Ref, d string, tagged bool, err error) {
	rest := strings.TrimPrefix(strings.TrimPrefix(name, "docker://"), "oci://")
	switch {
	case strings.Contains(rest, "{{") || strings.Contains(rest, "${") || strings.Contains(rest, "$("):
		return ref, "", false, errors.New("is a template, not an image: fill it in first, for a chart with: helm template")
	case IsID(rest):
		return ref, "", false, errors.New("is the ID of an image on one machine, which no registry knows: write the image's name")
	case rest == "":
		return ref, "", false, errors.New("has no name in it")
	}
	rest, d, byDigest := strings.Cut(rest, "@")
	if byDigest && d == "" {
		return ref, "", false, errors.New("has no digest after its @")
	}
	if i := strings.LastIndexByte(rest, ':'); i > strings.LastIndexByte(rest, '/') {
		rest, ref.Tag = rest[:i], rest[i+1:]
		if !mirror.ValidTag(ref.Tag) {
			return ref, "", false, fmt.Errorf("%q is not a tag", ref.Tag)
		}
		tagged = true
	}
	if tagged = tagged || byDigest; !tagged {
		ref.Tag = "latest"
	}
	if ref.Repo, err = names.Repo(rest, ""); err != nil {
		return ref, d, false, err
	}
	_, own := names.Bare(rest) // a path as clients of this mirror ask for it
	if !own && ref.Repo.Host == mirror.DockerHub && !strings.Contains(ref.Repo.Path, "/") {
		ref.Repo.Path = "library/" + ref.Repo.Path
		err = ref.Repo.Validate() // it is longer now
	}
	return ref, d, tagged, err
}
