package images

import (
	"errors"
	"fmt"
	"strings"

	"airmirror/mirror"
)

// ParseName reads an image's name as people write it, see the package comment. tagged is false if there is neither tag nor
// digest in it: the reference is to latest then.
func ParseName(names mirror.Names, name string) (ref mirror.Ref, tagged bool, err error) {
	rest := strings.TrimPrefix(name, "docker://")
	switch {
	case strings.Contains(rest, "{{") || strings.Contains(rest, "${") || strings.Contains(rest, "$("):
		return ref, false, errors.New("is a template, not an image: fill it in first, for a chart with: helm template")
	case rest == "":
		return ref, false, errors.New("has no name in it")
	}
	rest, d, byDigest := strings.Cut(rest, "@")
	if i := strings.LastIndexByte(rest, ':'); i > strings.LastIndexByte(rest, '/') {
		rest, ref.Tag = rest[:i], rest[i+1:]
		if !mirror.ValidTag(ref.Tag) {
			return ref, false, fmt.Errorf("%q is not a tag", ref.Tag)
		}
		tagged = true
	}
	if byDigest {
		ref.Tag, tagged = "", true
		if ref.Digest, err = mirror.ParseDigest(d); err != nil {
			return ref, false, err
		}
	}
	if !tagged {
		ref.Tag = "latest"
	}
	if ref.Repo, err = names.Repo(rest, ""); err != nil {
		return ref, false, err
	}
	if ref.Repo.Host == mirror.DockerHub && !strings.Contains(ref.Repo.Path, "/") {
		ref.Repo.Path = "library/" + ref.Repo.Path
		err = ref.Repo.Validate() // it is longer now
	}
	return ref, tagged, err
}
