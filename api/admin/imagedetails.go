package admin

import (
	"context"
	"net/http"

	"airmirror/api/registry"
	"airmirror/mirror"
)

// ImageDetails are what is stored of an image.
type ImageDetails struct {
	// Name is the repository as clients write it, as in an [Image].
	Name string `json:"name"`
	mirror.ImageDetails
}

// imageDetails answers with what is stored of an image.
func (h *Handler) imageDetails(w http.ResponseWriter, r *http.Request) error {
	find := h.opts.Find
	if find == nil {
		find = parseRef
	}
	ref, err := find(r.Context(), r.URL.Query().Get("image"))
	if ref.Repo != (mirror.Repo{}) {
		if denied := AccessOf(r.Context()).Check(registry.Pull, ref.Repo); denied != nil {
			return denied // whether it is stored or not
		}
	}
	if err != nil {
		return err
	}
	details, err := h.mirror.Inspect(r.Context(), ref, r.URL.Query().Has("raw"))
	if err != nil {
		return err
	}
	return writeJSON(w, ImageDetails{Name: h.mirror.Names().Served(ref.Repo), ImageDetails: details})
}

// parseRef reads a whole reference.
func parseRef(_ context.Context, name string) (mirror.Ref, error) { return mirror.ParseRef(name) }
