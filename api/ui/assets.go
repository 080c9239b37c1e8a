package ui

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"sync"
)

//go:embed assets
var assetFiles embed.FS

// assetVersion is a hash of all files below assets. It is part of their addresses, so that browsers may keep them, and so
// that modules can import each other by relative names.
var assetVersion = sync.OnceValue(func() string {
	hash := sha256.New()
	err := fs.WalkDir(assetFiles, "assets", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := assetFiles.ReadFile(name)
		hash.Write([]byte(name))
		hash.Write(content)
		return err
	})
	if err != nil {
		panic(err) // the files are part of the program
	}
	return hex.EncodeToString(hash.Sum(nil)[:8])
})

var assetTypes = map[string]string{
	".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml", "": "text/plain; charset=utf-8",
}

// serveAsset serves a file by its version and name.
func serveAsset(w http.ResponseWriter, r *http.Request, file string) {
	version, name, _ := strings.Cut(file, "/")
	content, err := assetFiles.ReadFile(path.Join("assets", path.Clean("/"+name)))
	if err != nil || version != assetVersion() || r.Method != http.MethodGet && r.Method != http.MethodHead {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", assetTypes[path.Ext(name)])
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	_, _ = w.Write(content) // the client may have disconnected
}
