package prefetch

import (
	"strings"

	"airmirror/mirror"
)

// reason says in one line why an image could not be fetched whole. The image is named in front of it already, so only
// what else is missing is named, and each cause once.
func reason(image string, err error) string {
	var reasons []string
	all := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		all = joined.Unwrap()
	}
	for _, err := range all {
		reasons = append(reasons, strings.ReplaceAll(reasonFor(image, err), "\n", "; "))
	}
	return strings.Join(reasons, "; ")
}

func reasonFor(image string, err error) string {
	what, why, ok := mirror.MissReason(err)
	if !ok {
		what, why = image, err
	}
	text := strings.TrimPrefix(strings.TrimPrefix(why.Error(), image+" "), "upstream ")
	if host, _, ok := strings.Cut(text, " does not have "); ok {
		text = host + " does not have it"
	}
	if what == image {
		return text
	}
	return what + ": " + text
}
