package main

import (
	"errors"
	"os"

	"airmirror/mirror"
	"airmirror/sync/transfer"
)

// isPreview reports whether a dry run listed what a bundle contains. The first volume of a bundle lists the content of all.
func isPreview(s *transfer.Summary) bool {
	return s != nil && s.DryRun && s.Bundle != "" && s.Next == nil
}

// checkLaterVolume checks the size of a volume whose bundle was listed by a dry run, and reads nothing else.
func (im *imports) checkLaterVolume(s source) error {
	body, err := s.open(nil)
	if err != nil {
		return im.failed(s, err)
	}
	return body.Close()
}

// checkLength returns an error if a bundle in one file is shorter than what a dry run found in its list of contents. A compressed
// one, and one from standard input, is not checked.
func checkLength(s source, summary *transfer.Summary) error {
	if summary.Bundle == "" || s.path == "-" || s.layout || s.volume != nil {
		return nil
	}
	format, err := formatOf(s.path)
	if err != nil || format.Name != "tar" {
		return err
	}
	info, err := os.Stat(s.path)
	if err != nil {
		return err
	}
	doc, err := peek(s.path)
	if err == nil && doc == nil {
		err = errors.New("its list of contents cannot be read again")
	}
	if err != nil {
		return err
	}
	const block = 512 // of tar: one for each header, and files fill whole blocks
	var least int64
	for _, m := range doc.Manifests {
		least += block + (m.Size+block-1)/block*block
	}
	for _, b := range doc.Blobs {
		least += block + (b.Size+block-1)/block*block
	}
	if info.Size() < least {
		return mirror.Errorf(mirror.CodeBundleInvalid, "it is truncated: it has %s, and its content needs %s: copy it again", size(info.Size()), size(least))
	}
	return nil
}
