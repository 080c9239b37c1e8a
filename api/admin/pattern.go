package admin

import (
	"strings"

	"airmirror/mirror"
)

// IsPattern reports whether a name contains wildcards.
func IsPattern(name string) bool { return strings.ContainsAny(name, "*?[") }

// SplitTag splits the name of an image into the repository and the tag, which is "" if the name has none.
func SplitTag(name string) (repo, tag string) {
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		return name[:i], name[i+1:]
	}
	return name, ""
}

// WithHost returns a pattern of repositories with the default host in front if the pattern names no host, as the names of
// stored repositories have it. A pattern with a digest is returned unchanged.
func WithHost(names mirror.Names, pattern string) string {
	if strings.Contains(pattern, "@") {
		return pattern
	}
	pattern, _ = names.Bare(pattern)
	name, _ := SplitTag(pattern)
	first, _, several := strings.Cut(name, "/")
	if first == "**" || several && (strings.ContainsAny(first, ".:") || first == "localhost") {
		return pattern
	}
	host := names.Default
	if host == "" {
		host = mirror.DockerHub
	}
	if host == mirror.DockerHub && !several {
		pattern = "library/" + pattern
	}
	return host + "/" + pattern
}
