package ui

import (
	"cmp"
	"net/url"
	"slices"
	"strings"
	"time"

	"airmirror/api/admin"
	"airmirror/mirror"
)

// pageSize is how many images a page lists.
const pageSize = 100

// imageFilter selects and orders images. It is the query of the page.
type imageFilter struct {
	Text, State, Origin, Sort string
	Folder                    string // a repository, or the first parts of the names of several
	After                     string // continues a list; see [admin.ImagePage.Next]
	Platform                  string // os/arch or os/arch/variant
	// Before are the values of After of the pages before this one, the last maxBefore of them.
	Before []string
}

// maxBefore is how many pages one can go back.
const maxBefore = 20

// The values of a filter; the first is the default.
var (
	imageStates  = []string{"", "incomplete", "pinned", "signed", "unsigned", "sbom"}
	imageOrigins = []string{"", string(mirror.Pushed), string(mirror.Mirrored), string(mirror.Imported)}
	imageSorts   = []string{"name", "size", "used", "unused", "updated"}
)

func readFilter(query url.Values) imageFilter {
	f := imageFilter{Text: strings.TrimSpace(query.Get("q")), Folder: strings.Trim(query.Get("in"), "/"), After: query.Get("after")}
	f.Platform, f.Before = strings.TrimSpace(query.Get("platform")), query["before"]
	for _, choice := range []struct {
		to      *string
		key     string
		allowed []string
	}{{&f.State, "state", imageStates}, {&f.Origin, "origin", imageOrigins}, {&f.Sort, "sort", imageSorts}} {
		*choice.to = choice.allowed[0]
		if value := query.Get(choice.key); slices.Contains(choice.allowed, value) {
			*choice.to = value
		}
	}
	return f
}

// active reports whether the filter leaves out anything.
func (f imageFilter) active() bool { return f.Text+f.State+f.Origin+f.Folder+f.Platform != "" }

// link returns the address of the list with this filter.
func (f imageFilter) link() string {
	query := url.Values{}
	for key, value := range map[string]string{"q": f.Text, "state": f.State, "origin": f.Origin, "in": f.Folder, "after": f.After, "platform": f.Platform} {
		if value != "" {
			query.Set(key, value)
		}
	}
	if f.Sort != imageSorts[0] {
		query.Set("sort", f.Sort)
	}
	if len(f.Before) > 0 {
		query["before"] = f.Before
	}
	return address("images", query)
}

// in returns the filter at the beginning of a folder.
func (f imageFilter) in(folder string) imageFilter {
	f.Folder, f.After, f.Before = folder, "", nil
	return f
}

// next returns the filter at the page after this one.
func (f imageFilter) next(after string) imageFilter {
	f.Before = append(slices.Clone(f.Before), f.After)
	f.Before = f.Before[max(0, len(f.Before)-maxBefore):]
	f.After = after
	return f
}

// previous returns the filter at the page before this one.
func (f imageFilter) previous() imageFilter {
	last := len(f.Before) - 1
	f.After, f.Before = f.Before[last], f.Before[:last]
	return f
}

// query returns the request for the page of images.
func (f imageFilter) query() admin.PageQuery {
	q := admin.PageQuery{Sort: mirror.ImageSort(f.Sort), Limit: pageSize, After: f.After}
	if f.Sort == "unused" {
		q.Sort, q.Reverse = mirror.SortByUse, true
	}
	q.Match, q.Incomplete, q.Pinned = f.patterns(), f.State == "incomplete", f.State == "pinned"
	switch f.State {
	case "signed":
		q.Has = mirror.SignatureReferrer
	case "unsigned":
		q.Lacks = mirror.SignatureReferrer
	case "sbom":
		q.Has = mirror.SBOMReferrer
	}
	if f.Platform != "" {
		q.Platforms = []string{f.Platform}
	}
	if f.Origin != "" {
		q.Origins = []string{f.Origin}
	}
	return q
}

// patterns returns the patterns for a search: one that the user wrote, or those for names that contain the text.
func (f imageFilter) patterns() []string {
	within := "**"
	if f.Folder != "" {
		within = f.Folder
	}
	switch {
	case f.Text == "" && f.Folder == "":
		return nil
	case f.Text == "":
		return []string{f.Folder}
	case admin.IsPattern(f.Text) && f.Folder == "":
		return []string{f.Text}
	case strings.HasPrefix(f.Text, "sha256:"):
		return []string{within + "@" + f.Text}
	}
	part := strings.Trim(f.Text, "/*")
	patterns := []string{within + ":*" + part + "*"}
	if f.Folder == "" {
		return append(patterns, "**/*"+strings.ToLower(part)+"*")
	}
	return append(patterns, within+"/**/*"+strings.ToLower(part)+"*", within+"/**:*"+part+"*")
}

// imageRow is one name, with the platforms that it has.
type imageRow struct {
	Reference, Name, Display string
	Platforms                []imagePlatform
	Size                     int64 // stored bytes, of all platforms
	Origin                   mirror.Origin
	Updated, LastUsed        time.Time
	Pinned, Complete         bool
	Attached                 mirror.Attached
	Error                    string
}

// imagePlatform is one platform of an image.
type imagePlatform struct {
	Name     string
	Complete bool
	Missing  int64
}

// imagesData is what the list of images shows.
type imagesData struct {
	Filter                 imageFilter
	Filtered               bool // the filter leaves out something
	States, Origins, Sorts []string
	All                    string // address of the list without a folder
	Crumbs, Folders        []folderLink
	MoreFolders            int // that are not listed
	Rows                   []imageRow
	Total                  int // images that the filter selects, each platform counted; -1 if it is unknown
	Surveyed               time.Time
	First, Previous, Next  string // addresses of pages of the list; "" for none
	Select                 bool
	Matching               string // query that selects what the list has on all pages; see [chosen]
}

// folderLink is a folder of repositories.
type folderLink struct {
	Name, Link string
	Count      int
}

// maxFolders is how many folders the list shows.
const maxFolders = 60

func imagesPage(r *request) (any, error) {
	f := readFilter(r.URL.Query())
	found, err := r.admin.ImagePage(r.Context(), f.query())
	if err != nil {
		return nil, err
	}
	d := imagesData{
		Filter: f, Filtered: f.active(), States: imageStates, Origins: imageOrigins, Sorts: imageSorts, Surveyed: found.Surveyed,
		Rows: groupImages(found.Images), Total: -1, All: f.in("").link(), Select: r.user.Admin || r.user.Delete,
	}
	switch {
	case found.Matches != nil:
		d.Total = *found.Matches
	case !f.active():
		counts, err := r.admin.ImageCounts(r.Context())
		if err != nil {
			return nil, err
		}
		d.Total = counts.Images
	}
	if found.Next != "" {
		d.Next = f.next(found.Next).link()
	}
	if f.After != "" {
		d.First = f.in(f.Folder).link()
	}
	if len(f.Before) > 0 {
		d.Previous = f.previous().link()
	}
	if d.First+d.Next != "" { // there are other pages
		_, d.Matching, _ = strings.Cut(f.in(f.Folder).link(), "?")
	}
	err = d.addFolders(r, f)
	return d, err
}

// groupImages puts the platforms of each image together that follow each other.
func groupImages(images []admin.Image) (rows []imageRow) {
	for _, image := range images {
		if n := len(rows); n == 0 || rows[n-1].Reference != image.Reference {
			rows = append(rows, imageRow{
				Reference: image.Reference, Name: image.Name, Display: displayName(image), Origin: image.Origin, Updated: image.Updated, Complete: true,
			})
		}
		rows[len(rows)-1].add(image)
	}
	return rows
}

// add adds a platform.
func (row *imageRow) add(image admin.Image) {
	row.Platforms = append(row.Platforms, imagePlatform{Name: image.Platform, Complete: image.Complete, Missing: image.Missing})
	row.Size = mirror.AddSizes(row.Size, max(0, image.Size-image.Missing))
	row.Complete = row.Complete && image.Complete
	row.Pinned = row.Pinned || image.Pinned
	row.Attached = row.Attached.Or(image.Attached)
	row.Error = cmp.Or(row.Error, image.Error)
	if image.LastUsed.After(row.LastUsed) {
		row.LastUsed = image.LastUsed
	}
}

// addFolders adds the folders above the folder of a filter, and those directly below it.
func (d *imagesData) addFolders(r *request, f imageFilter) error {
	if f.Folder != "" {
		parts := strings.Split(f.Folder, "/")
		for i, part := range parts {
			d.Crumbs = append(d.Crumbs, folderLink{Name: part, Link: f.in(strings.Join(parts[:i+1], "/")).link()})
		}
		d.Crumbs[len(parts)-1].Link = "" // it is open
	}
	below, err := r.admin.Folders(r.Context(), f.Folder)
	d.MoreFolders = max(0, len(below)-maxFolders)
	for _, folder := range below[:len(below)-d.MoreFolders] {
		d.Folders = append(d.Folders, folderLink{folder.Name, f.in(strings.TrimPrefix(f.Folder+"/"+folder.Name, "/")).link(), folder.Images})
	}
	return err
}
