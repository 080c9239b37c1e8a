package admin

import (
	"net/http"

	"airmirror/mirror"
)

// Image is a stored image.
type Image struct {
	// Name is the repository as clients write it: without a host if it belongs to the default registry.
	Name string `json:"name"`
	// Reference is the whole name: the repository with its host, and the tag or digest.
	Reference string `json:"reference"`
	mirror.Image
}

func (h *Handler) images(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	match, err := newMatcher(h.mirror.Names(), query["match"])
	if err != nil {
		return err
	}
	access := AccessOf(r.Context())
	if err := match.checkAmbiguous(func(repo mirror.Repo, d string) error {
		if !access.MayPull(repo) {
			return nil
		}
		_, err := h.mirror.FindDigest(r.Context(), repo, d)
		return err
	}); err != nil {
		return err
	}
	lines := h.newLineWriter(w, r)
	for image, err := range h.mirror.Images(r.Context(), access.visible(match.images())) {
		if err != nil {
			return lines.end(err)
		}
		if query.Has("incomplete") && image.Complete {
			continue
		}
		ref, err := image.Ref()
		if err != nil {
			return lines.end(err)
		}
		lines.send(Image{Name: h.mirror.Names().Served(ref.Repo), Reference: ref.String(), Image: image})
	}
	return lines.end(nil)
}
