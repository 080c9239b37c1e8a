package prefetch

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"airmirror/mirror"
)

// ParseName parses the name of an image; see the package comment. The reference has a tag, a digest or both. tagged is false
// if the name has neither: the tag is latest then.
func ParseName(names mirror.Names, name string) (ref mirror.Ref, tagged bool, err error) {
	ref, d, tagged, err := parseName(names, name)
	if err == nil && d != "" {
		ref.Digest, err = mirror.ParseDigest(d)
	}
	return ref, tagged && err == nil, err
}

// Find parses the name of stored content. It is like [ParseName], with two differences: a digest may be shortened
// ([mirror.FindDigest]), and a short name of Docker Hub means the repository below library only if there is no repository
// of the short name itself, as in the registry API.
func Find(ctx context.Context, store mirror.Catalog, names mirror.Names, name string) (ref mirror.Ref, tagged bool, err error) {
	ref, d, tagged, err := parseName(names, name)
	if err != nil {
		return ref, tagged, mirror.Errorf(mirror.CodeNameInvalid, "%w", Named(name, err))
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
		err = mirror.Errorf(code, "%w", Named(name, err))
	}
	return ref, tagged, err
}

// storedRepo returns the stored repository for a name that begins with an address of this mirror. A short name may mean
// the repository below library, as in the registry API. A repository may also be stored under the address itself, as
// that of another registry.
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

// idPattern matches the image IDs that Docker and Kubernetes show for images without a name. Docker also reads 64 hexadecimal
// digits as an ID, never as a name.
var idPattern = regexp.MustCompile(`^(sha256:)?[0-9a-f]{64}$`)

// IsID reports whether a name is an image ID: the digest of a config, which only the machine that stores the image can
// resolve.
func IsID(name string) bool { return idPattern.MatchString(name) }

// WithoutIDs returns the names in a list, and the number of image IDs in it.
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

// parseName parses a name and returns its digest unchanged: it may be a shortened one.
func parseName(names mirror.Names, name string) (ref mirror.Ref, d string, tagged bool, err error) {
	rest := strings.TrimPrefix(strings.TrimPrefix(name, "docker://"), "oci://")
	if err := mirror.RefuseURL(rest); err != nil {
		return ref, "", false, err
	}
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
			return ref, "", false, tagError(ref.Tag)
		}
		tagged = true
	}
	if tagged = tagged || byDigest; !tagged {
		ref.Tag = "latest"
	}
	if ref.Repo, err = names.Repo(rest, ""); err != nil {
		return ref, d, false, err
	}
	_, own := names.Bare(rest) // the name is a path of this mirror
	if !own && ref.Repo.Host == mirror.DockerHub && !strings.Contains(ref.Repo.Path, "/") {
		ref.Repo.Path = "library/" + ref.Repo.Path
		err = ref.Repo.Validate() // the prefix made it longer
	}
	return ref, d, tagged, err
}

// tagError returns the error for a tag outside the grammar.
func tagError(tag string) error {
	if tag == "" {
		return errors.New("has no tag after its colon")
	}
	if strings.ContainsAny(tag, "*?[") {
		return fmt.Errorf("%q is not a tag: select tags by a pattern with --tags, as in --tags '%[1]s'", tag)
	}
	return fmt.Errorf("%q is not a tag", tag)
}

// Named puts the name of an image in front of an error about it, unless the error begins with it.
func Named(name string, err error) error {
	if quoted := strconv.Quote(name); !strings.HasPrefix(err.Error(), quoted+" ") {
		return fmt.Errorf("%s: %w", quoted, err)
	}
	return err
}
