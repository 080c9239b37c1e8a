package registry

import "strings"

// runnable reports whether a browser that opens content of this media type may run it: pages, images with scripts,
// documents. Manifests are of application types that no browser knows, most of them JSON.
func activeContent(mediaType string) bool {
	mediaType, _, _ = strings.Cut(mediaType, ";")
	subtype, ok := strings.CutPrefix(strings.ToLower(strings.TrimSpace(mediaType)), "application/")
	switch subtype {
	case "pdf", "wasm", "x-shockwave-flash", "x-mimearchive":
		return true
	}
	return !ok || strings.HasSuffix(subtype, "xml") || strings.Contains(subtype, "html") || strings.Contains(subtype, "script")
}
