package admin

import "airmirror/sync/bundle"

// BundleImage is an image that is exported or imported.
type BundleImage struct {
	// Reference is the whole name: the repository, and the tag or digest.
	Reference string `json:"reference"`
	*bundle.Image
}
