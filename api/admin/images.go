package admin

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

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

// Query selects images. The zero value selects all of them.
type Query struct {
	// Match selects images that match any of these patterns, such as library/alpine, ghcr.io or library/*:3.*.
	Match []string
	// Origins and Platforms select images that have any of these. None selects all.
	Origins, Platforms []string
	// Incomplete selects images that are not complete, and Pinned those that are pinned.
	Incomplete, Pinned bool
	// Has and Lacks select images with and without a referrer of a kind that [mirror.Attached] knows; "" selects all.
	Has, Lacks mirror.ReferrerKind
	// UnusedSince selects images that were not used or stored since then; zero selects all.
	UnusedSince time.Time
}

// ImagePage is a page of the list of images, see [mirror.ImagePage].
type ImagePage struct {
	Images []Image `json:"images"`
	Next   string  `json:"next,omitempty"` // continues the list, as ?after=; absent at the end
	// Matches is the number of images that are selected, and Surveyed the time as of which they were selected and ordered;
	// absent if the page was read from the index.
	Matches  *int      `json:"matches,omitempty"`
	Surveyed time.Time `json:"surveyed,omitzero"`
}

// PageQuery asks for a page of images.
type PageQuery struct {
	Query
	Sort    mirror.ImageSort // "" is [mirror.SortByName]
	Reverse bool
	Limit   int    // at most [MaxPage]; 0 is [MaxPage]
	After   string // [ImagePage.Next] of the page before
}

// MaxPage is the maximum number of images of a page.
const MaxPage = 1000

// values returns the parameters of a request.
func (q Query) values() url.Values {
	v := url.Values{"match": q.Match, "origin": q.Origins, "platform": q.Platforms}
	if q.Incomplete {
		v.Set("incomplete", "1")
	}
	if q.Pinned {
		v.Set("pinned", "1")
	}
	if q.Has != "" {
		v.Set("has", string(q.Has))
	}
	if q.Lacks != "" {
		v.Set("lacks", string(q.Lacks))
	}
	if !q.UnusedSince.IsZero() {
		v.Set("unused-since", q.UnusedSince.UTC().Format(time.RFC3339))
	}
	return v
}

func (q PageQuery) values() url.Values {
	v := q.Query.values()
	if q.Sort != "" {
		v.Set("sort", string(q.Sort))
	}
	if q.Reverse {
		v.Set("reverse", "1")
	}
	if q.Limit > 0 {
		v.Set("limit", strconv.Itoa(q.Limit))
	}
	if q.After != "" {
		v.Set("after", q.After)
	}
	return v
}

// selection returns what the parameters of a request select of the images that its sender may pull.
func (h *Handler) selection(ctx context.Context, query url.Values) (match mirror.ImageMatch, filter mirror.ImageFilter, err error) {
	patterns, err := newMatcher(h.mirror.Names(), query["match"])
	if err != nil {
		return match, filter, err
	}
	access := AccessOf(ctx)
	if err := patterns.checkAmbiguous(func(repo mirror.Repo, d string) error {
		if !access.MayPull(repo) {
			return nil
		}
		_, err := h.mirror.FindDigest(ctx, repo, d)
		return err
	}); err != nil {
		return match, filter, err
	}
	filter = mirror.ImageFilter{Incomplete: query.Has("incomplete"), Pinned: query.Has("pinned")}
	for _, text := range query["origin"] {
		origin, err := mirror.ParseOrigin(text)
		if err != nil {
			return match, filter, err
		}
		filter.Origins = append(filter.Origins, origin)
	}
	if filter.Platforms, err = mirror.ParsePlatforms(query["platform"]); err != nil {
		return match, filter, err
	}
	for key, kind := range map[string]*mirror.ReferrerKind{"has": &filter.Has, "lacks": &filter.Lacks} {
		if text := query.Get(key); text != "" {
			if *kind, err = mirror.ParseAttachedKind(text); err != nil {
				return match, filter, err
			}
		}
	}
	if text := query.Get("unused-since"); text != "" {
		if filter.UnusedSince, err = time.Parse(time.RFC3339, text); err != nil {
			return match, filter, mirror.Errorf(mirror.CodeUnsupported, "unused-since: write a time as 2026-01-31T00:00:00Z: %w", err)
		}
	}
	return access.visible(patterns.images()), filter, nil
}

// images lists all images that the request selects, in the order of their names.
func (h *Handler) images(w http.ResponseWriter, r *http.Request) error {
	match, filter, err := h.selection(r.Context(), r.URL.Query())
	if err != nil {
		return err
	}
	lines := h.newLineWriter(w, r)
	for image, err := range h.mirror.Images(r.Context(), match) {
		if err != nil {
			return lines.end(err)
		}
		if !filter.Accepts(image) {
			continue
		}
		named, err := h.named(image)
		if err != nil {
			return lines.end(err)
		}
		lines.send(named)
	}
	return lines.end(nil)
}

// named returns an image with its names.
func (h *Handler) named(image mirror.Image) (Image, error) {
	ref, err := image.Ref()
	return Image{Name: h.mirror.Names().Served(ref.Repo), Reference: ref.String(), Image: image}, err
}

// imagePage answers with a page of images.
func (h *Handler) imagePage(w http.ResponseWriter, r *http.Request) (err error) {
	query := r.URL.Query()
	q := mirror.ImageQuery{Reverse: query.Has("reverse"), Limit: MaxPage, After: query.Get("after")}
	if q.Match, q.Filter, err = h.selection(r.Context(), query); err != nil {
		return err
	}
	if q.Sort, err = mirror.ParseImageSort(query.Get("sort")); err != nil {
		return err
	}
	if text := query.Get("limit"); text != "" {
		if q.Limit, err = strconv.Atoi(text); err != nil || q.Limit < 1 {
			return mirror.Errorf(mirror.CodePaginationInvalid, "limit=%s is not a number of images: want 1 to %d", text, MaxPage)
		}
		q.Limit = min(q.Limit, MaxPage)
	}
	found, err := h.mirror.ImagePage(r.Context(), q)
	if err != nil {
		return err
	}
	page := ImagePage{Images: make([]Image, len(found.Images)), Next: found.Next, Surveyed: found.Surveyed}
	if found.Matches >= 0 {
		page.Matches = &found.Matches
	}
	for i, image := range found.Images {
		if page.Images[i], err = h.named(image); err != nil {
			return err
		}
	}
	return writeJSON(w, page)
}

// imageCounts answers with the numbers of images.
func (h *Handler) imageCounts(w http.ResponseWriter, r *http.Request) error {
	counts, err := h.mirror.ImageCounts(r.Context(), AccessOf(r.Context()).visible(mirror.ImageMatch{}).Repo)
	if err != nil {
		return err
	}
	return writeJSON(w, counts)
}
