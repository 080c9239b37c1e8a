package bundle

import (
	"path"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

// PackageName is what a package of zarf has in the folder above its image layout.
const PackageName = "zarf.yaml"

// droppings are files and folders that operating systems leave in folders, on disks and in archives.
var systemFiles = map[string]bool{
	".DS_Store": true, ".localized": true, "__MACOSX": true, ".Trashes": true, ".fseventsd": true, ".Spotlight-V100": true,
	".TemporaryItems": true, ".DocumentRevisions-V100": true, ".apdisk": true, ".VolumeIcon.icns": true,
	"thumbs.db": true, "ehthumbs.db": true, "desktop.ini": true, "$recycle.bin": true, "system volume information": true, "recycler": true, "autorun.inf": true,
	"lost+found": true, ".directory": true, "@eadir": true, ".snapshot": true, ".nfs": true,
}

// Ignored reports whether a file or folder is none that anybody put where it is: it, or a folder that it is in, is
// something that an operating system leaves behind, such as ._index.json, .DS_Store or Thumbs.db.
func Ignored(name string) bool {
	for part := range strings.SplitSeq(name, "/") {
		lower := strings.ToLower(part)
		if systemFiles[part] || systemFiles[lower] || strings.HasPrefix(part, "._") || strings.HasPrefix(lower, ".trash-") {
			return true
		}
	}
	return false
}

// digestInName returns the digest that a file is named by: blobs/sha256/…, in any folder. inBlobs says that it is in such a
// folder, and has another name if there is no digest: a download under way, for one.
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

// dirOfBlobs is the folder that a blob's layout is in.
func dirOfBlobs(name string) string { return path.Dir(path.Dir(path.Dir(name))) }
