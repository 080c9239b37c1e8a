package prefetch

import (
	"errors"
	"strings"
	"syscall"

	"airmirror/mirror"
)

// Result is the result of one image.
type Result struct {
	// Image is host/path:tag or host/path@digest, or the text that could not be parsed.
	Image string `json:"reference"`
	// Fetched is nil if nothing was fetched. It is set together with Error if a part of the image is missing.
	Fetched *mirror.Fetched `json:"fetched,omitempty"`
	Error   string          `json:"error,omitempty"`
	// NotChecked is the reason why the upstream did not say which digest a tag points at now, or which tags exist.
	NotChecked string `json:"notChecked,omitempty"`
}

// Summary is the result of [Run].
type Summary struct {
	Images   int      `json:"images"` // requested images; each selected tag counts
	Failed   int      `json:"failed"` // images that are not complete
	Bytes    int64    `json:"bytes"`  // of all blobs of the images; blobs that images share count for each
	New      int64    `json:"new"`    // bytes that were not stored before
	Failures []string `json:"failures,omitempty"`
	Skipped  int      `json:"skipped,omitempty"` // image IDs, which name nothing; they do not count as Images
	// NotChecked is the number of images that are complete as stored and that their upstream did not confirm. Unchecked
	// lists them with the reasons.
	NotChecked int      `json:"notChecked"`
	Unchecked  []string `json:"unchecked,omitempty"`
}

// reason returns in one line why an image is not complete. The line contains each cause once. It does not contain the
// name of the image, which the caller prints in front of it.
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
	if mirror.CodeOf(err) == mirror.CodeUnknown && (errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)) {
		return "the disk of the mirror is full: free space with 'mirror rm --now' or 'mirror gc'"
	}
	name, cause, ok := mirror.MissReason(err)
	if !ok {
		name, cause = image, err
	}
	text := strings.TrimPrefix(strings.TrimPrefix(cause.Error(), image+" "), "upstream ")
	if host, _, ok := strings.Cut(text, " does not have "); ok {
		text = host + " does not have it"
	}
	if name == image {
		return text
	}
	return name + ": " + text
}
