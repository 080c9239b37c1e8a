package admin

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"airmirror/mirror"
)

// Folder is a part of the names of repositories: those below library are in the folder library.
type Folder struct {
	Name   string `json:"name"`   // without the folder that it is in
	Images int    `json:"images"` // in it and below, each platform counted
}

// Folders lists the folders directly in one, "" for the first ones, by name. A repository is a folder as well.
func (c *Client) Folders(ctx context.Context, in string) (folders []Folder, err error) {
	return folders, c.call(ctx, http.MethodGet, "folders?"+url.Values{"in": {in}}.Encode(), nil, &folders)
}

// folders answers with the folders in one.
func (h *Handler) folders(w http.ResponseWriter, r *http.Request) error {
	counts, err := h.mirror.CountByRepo(r.Context(), AccessOf(r.Context()).visible(mirror.ImageMatch{}).Repo)
	if err != nil {
		return err
	}
	in, images := strings.Trim(r.URL.Query().Get("in"), "/"), map[string]int{}
	for name, n := range counts {
		repo, err := mirror.ParseRepo(name)
		if err != nil {
			return err
		}
		below := h.mirror.Names().Served(repo)
		if in != "" {
			var ok bool
			if below, ok = strings.CutPrefix(below, in+"/"); !ok {
				continue
			}
		}
		first, _, _ := strings.Cut(below, "/")
		images[first] += n
	}
	folders := []Folder{}
	for name, n := range images {
		folders = append(folders, Folder{name, n})
	}
	slices.SortFunc(folders, func(a, b Folder) int { return strings.Compare(a.Name, b.Name) })
	return writeJSON(w, folders)
}
