package bundle

import (
	"path"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

// PackageName is the file of a zarf package in the folder above its image layout.
const PackageName = "zarf.yaml"

// systemFiles are files and folders that operating systems create.
var systemFiles = map[string]bool{
	".DS_Store": true, ".localized": true, "__MACOSX": true, ".Trashes": true, ".fseventsd": true, ".Spotlight-V100": true,
	".TemporaryItems": true, ".DocumentRevisions-V100": true, ".apdisk": true, ".VolumeIcon.icns": true,
	"thumbs.db": true, "ehthumbs.db": true, "desktop.ini": true, "$recycle.bin": true, "system volume information": true, "recycler": true, "autorun.inf": true,
	"lost+found": true, ".directory": true, "@eadir": true, ".snapshot": true, ".nfs": true,
}

// Ignored reports whether a file or folder, or a folder that contains it, was created by an operating system and not by
// a user, such as ._index.json, .DS_Store or Thumbs.db.
func Ignored(name string) bool {
	for part := range strings.SplitSeq(name, "/") {
		lower := strings.ToLower(part)
		if systemFiles[part] || systemFiles[lower] || strings.HasPrefix(part, "._") || strings.HasPrefix(lower, ".trash-") {
			return true
		}
	}
	return false
}

// digestInName returns the digest in a name like blobs/sha256/…, in any folder. inBlobs reports whether the file is in
// a blobs folder; without a digest it is, for example, an unfinished download.
func digestInName(name string) (d digest.Digest, inBlobs bool) {
	parts := strings.Split(name, "/")
	last := len(parts) - 1
	if !slices.Contains(parts[:last], "blobs") {
		return "", false
	}
	if last >= 2 && parts[last-2] == "blobs" {
		if d, err := mirror.ParseDigest(parts[last-1] + ":" + parts[last]); err == nil {
			return d, true
		}
	}
	return "", true
}

// dirOfBlobs returns the folder of the layout that a blob belongs to.
func dirOfBlobs(name string) string { return path.Dir(path.Dir(path.Dir(name))) }
