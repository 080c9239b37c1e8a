package ui

import (
	"net/url"
	"slices"

	"airmirror/api/admin"
	"airmirror/mirror"
)

// maxChosen is the maximum number of images that one action changes.
const maxChosen = 20_000

// selection is what the page before a change of many images shows.
type selection struct {
	Action  string
	Names   []string
	Shown   []string // the first of them
	Dropped int64    // names that are not shown
	Back    string
}

func newSelection(action string, names []string, back string) selection {
	shown := names[:min(len(names), maxItems)]
	return selection{Action: action, Names: names, Shown: shown, Dropped: int64(len(names) - len(shown)), Back: back}
}

// chosen returns the images that a form chooses: those that it names, or all that its field "matching" selects, which is the
// query of the list.
func chosen(r *request) ([]string, error) {
	if r.PostForm.Has("matching") {
		return matching(r, r.PostForm.Get("matching"))
	}
	refs := slices.DeleteFunc(r.PostForm["ref"], func(ref string) bool { return ref == "" })
	if len(refs) == 0 {
		return nil, mirror.Errorf(mirror.CodeNameInvalid, "no image was chosen: choose one or more in the list")
	}
	return refs, nil
}

// matching returns the names of all images that a filter selects now. It does not use a survey, which may be older.
func matching(r *request, filter string) (names []string, err error) {
	query, err := url.ParseQuery(filter)
	if err != nil {
		return nil, mirror.Errorf(mirror.CodeNameInvalid, "read the filter: %w", err)
	}
	for image, err := range r.admin.Images(r.Context(), readFilter(query).query().Query) {
		switch {
		case err != nil:
			return nil, err
		case len(names) > 0 && names[len(names)-1] == image.Reference: // another platform
			continue
		case len(names) == maxChosen:
			return nil, mirror.Errorf(mirror.CodeSizeInvalid, "more than %d images match: choose a folder or a search with fewer", maxChosen)
		}
		names = append(names, image.Reference)
	}
	if len(names) == 0 {
		return nil, mirror.Errorf(mirror.CodeNameInvalid, "no stored image matches any more: choose one or more in the list")
	}
	return names, nil
}

// anyPinned reports whether one of the images is pinned. It reads a few of them one by one, and the list of all for many.
func anyPinned(r *request, names []string) (bool, error) {
	queries := []admin.Query{{Pinned: true}}
	if len(names) <= pageSize {
		queries = nil
		for _, name := range names {
			queries = append(queries, admin.Query{Match: []string{name}, Pinned: true})
		}
	}
	is := make(map[string]bool, len(names))
	for _, name := range names {
		is[name] = true
	}
	for _, query := range queries {
		for image, err := range r.admin.Images(r.Context(), query) {
			if err != nil || is[image.Reference] {
				return err == nil, err
			}
		}
	}
	return false, nil
}
