package ui

import (
	"cmp"
	"net/url"
	"slices"
	"strconv"
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
	Folder                    string // names that begin with it and a slash, or are it
	Page                      int    // from 1
}

// The values of a filter; the first is the default.
var (
	imageStates  = []string{"", "complete", "incomplete", "pinned"}
	imageOrigins = []string{"", string(mirror.Pushed), string(mirror.Mirrored), string(mirror.Imported)}
	imageSorts   = []string{"name", "size", "used", "unused", "updated"}
)

func readFilter(query url.Values) imageFilter {
	page, _ := strconv.Atoi(query.Get("page"))
	f := imageFilter{Text: strings.TrimSpace(query.Get("q")), Folder: strings.Trim(query.Get("in"), "/"), Page: max(page, 1)}
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

// Active reports whether the filter leaves out anything.
func (f imageFilter) Active() bool { return f.Text+f.State+f.Origin+f.Folder != "" }

// link returns the address of the list with this filter.
func (f imageFilter) link() string {
	query := url.Values{}
	for key, value := range map[string]string{"q": f.Text, "state": f.State, "origin": f.Origin, "in": f.Folder} {
		if value != "" {
			query.Set(key, value)
		}
	}
	if f.Sort != imageSorts[0] {
		query.Set("sort", f.Sort)
	}
	if f.Page > 1 {
		query.Set("page", strconv.Itoa(f.Page))
	}
	return address("images", query)
}

// accepts reports whether the filter selects an image, apart from its state.
func (f imageFilter) accepts(row *imageRow) bool {
	text := strings.ToLower(f.Text)
	return (text == "" || strings.Contains(strings.ToLower(row.Display), text) || strings.Contains(strings.ToLower(row.Reference), text)) &&
		(f.Origin == "" || string(row.Origin) == f.Origin) &&
		(f.Folder == "" || row.Name == f.Folder || strings.HasPrefix(row.Name, f.Folder+"/")) &&
		(f.State == "" || f.State == "complete" && row.Complete || f.State == "incomplete" && !row.Complete || f.State == "pinned" && row.Pinned)
}

// imageRow is one name, with the platforms that it has.
type imageRow struct {
	Reference, Name, Display string
	Platforms                []imagePlatform
	Size                     int64 // stored bytes, of all platforms
	Origin                   mirror.Origin
	Updated, LastUsed        time.Time
	Pinned, Complete         bool
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
	States, Origins, Sorts []string
	All                    string // address of the list without a folder
	Crumbs                 []folderLink
	Folders                []folderLink
	Rows                   []imageRow
	Total, First, Last     int
	Previous, Next         string
	Select                 bool
}

// folderLink is a folder of repositories.
type folderLink struct {
	Name, Link string
	Count      int
}

func imagesPage(r *request) (any, error) {
	f := readFilter(r.URL.Query())
	rows, err := readImages(r, admin.Query{})
	if err != nil {
		return nil, err
	}
	rows = slices.DeleteFunc(rows, func(row imageRow) bool { return !f.accepts(&row) })
	sortImages(rows, f.Sort)
	d := imagesData{
		Filter: f, States: imageStates, Origins: imageOrigins, Sorts: imageSorts, Total: len(rows), Select: r.user.Admin || r.user.Delete,
	}
	d.All, d.Crumbs, d.Folders = folders(f, rows)
	start := min((f.Page-1)*pageSize, len(rows))
	end := min(start+pageSize, len(rows))
	d.Rows, d.First, d.Last = rows[start:end], start+1, end
	if start > 0 {
		d.Previous = f.onPage(f.Page - 1).link()
	}
	if end < len(rows) {
		d.Next = f.onPage(f.Page + 1).link()
	}
	return d, nil
}

func (f imageFilter) onPage(n int) imageFilter {
	f.Page = n
	return f
}

// readImages returns the images of a query, with the platforms of each together.
func readImages(r *request, query admin.Query) (rows []imageRow, err error) {
	for image, err := range r.admin.Images(r.Context(), query) {
		if err != nil {
			return nil, err
		}
		if n := len(rows); n == 0 || rows[n-1].Reference != image.Reference {
			rows = append(rows, imageRow{
				Reference: image.Reference, Name: image.Name, Display: displayName(image), Origin: image.Origin, Updated: image.Updated, Complete: true,
			})
		}
		rows[len(rows)-1].add(image)
	}
	return rows, nil
}

// add adds a platform.
func (row *imageRow) add(image admin.Image) {
	row.Platforms = append(row.Platforms, imagePlatform{Name: image.Platform, Complete: image.Complete, Missing: image.Missing})
	row.Size = mirror.AddSizes(row.Size, max(0, image.Size-image.Missing))
	row.Complete = row.Complete && image.Complete
	row.Pinned = row.Pinned || image.Pinned
	row.Error = cmp.Or(row.Error, image.Error)
	if image.LastUsed.After(row.LastUsed) {
		row.LastUsed = image.LastUsed
	}
}

// sortImages orders images, which are sorted by name.
func sortImages(rows []imageRow, by string) {
	order := map[string]func(a, b imageRow) int{
		"size":    func(a, b imageRow) int { return cmp.Compare(b.Size, a.Size) },
		"used":    func(a, b imageRow) int { return b.LastUsed.Compare(a.LastUsed) },
		"unused":  func(a, b imageRow) int { return a.LastUsed.Compare(b.LastUsed) },
		"updated": func(a, b imageRow) int { return b.Updated.Compare(a.Updated) },
	}[by]
	if order != nil {
		slices.SortStableFunc(rows, order)
	}
}

// folders returns the folders above and directly below the folder of a filter, with the number of images in each.
func folders(f imageFilter, rows []imageRow) (all string, above, below []folderLink) {
	at := f.onPage(1)
	in := func(folder string) string {
		at.Folder = folder
		return at.link()
	}
	if f.Folder != "" {
		parts := strings.Split(f.Folder, "/")
		for i, part := range parts {
			link := folderLink{Name: part}
			if i < len(parts)-1 {
				link.Link = in(strings.Join(parts[:i+1], "/"))
			}
			above = append(above, link)
		}
	}
	counts := map[string]int{}
	for _, row := range rows {
		rest := row.Name
		if f.Folder != "" {
			rest = strings.TrimPrefix(strings.TrimPrefix(row.Name, f.Folder), "/")
		}
		if part, _, _ := strings.Cut(rest, "/"); part != "" {
			counts[part]++
		}
	}
	for part, n := range counts {
		below = append(below, folderLink{Name: part, Link: in(strings.TrimPrefix(f.Folder+"/"+part, "/")), Count: n})
	}
	slices.SortFunc(below, func(a, b folderLink) int { return strings.Compare(a.Name, b.Name) })
	return in(""), above, below
}
