package mirror

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// ImageSort is an order of images.
type ImageSort string

// The orders. Images that are equal by one of them are in the order of their names.
const (
	SortByName    ImageSort = "name"    // repository, then name
	SortBySize    ImageSort = "size"    // the largest first
	SortByUse     ImageSort = "used"    // the last used first; images that were never used are last
	SortByUpdated ImageSort = "updated" // the last stored or moved first
)

// ImageSorts returns all orders.
func ImageSorts() []ImageSort { return []ImageSort{SortByName, SortBySize, SortByUse, SortByUpdated} }

// ParseImageSort parses an order. "" is [SortByName]. The error for any other text is a [CodeUnsupported].
func ParseImageSort(text string) (ImageSort, error) {
	order := ImageSort(cmp.Or(text, string(SortByName)))
	if !slices.Contains(ImageSorts(), order) {
		return "", Errorf(CodeUnsupported, "%s is not an order of images: want name, size, used or updated", quote(text))
	}
	return order, nil
}

// ParseOrigin parses an origin. The error for any other text is a [CodeUnsupported].
func ParseOrigin(text string) (Origin, error) {
	origin := Origin(text)
	if !slices.Contains([]Origin{Pushed, Mirrored, Imported}, origin) {
		return "", Errorf(CodeUnsupported, "%s is not an origin: want pushed, mirrored or imported", quote(text))
	}
	return origin, nil
}

// Key returns the value that an image is ordered by, descending. It is 0 for all images of [SortByName].
func (s ImageSort) Key(size int64, used, updated time.Time) int64 {
	switch s {
	case SortBySize:
		return size
	case SortByUse:
		return nanos(used)
	case SortByUpdated:
		return nanos(updated)
	}
	return 0
}

// nanos returns the nanoseconds since 1970; 0 for the zero time, which is unknown.
func nanos(at time.Time) int64 {
	if at.IsZero() {
		return 0
	}
	return at.UnixNano()
}

// Compare orders two images.
func (s ImageSort) Compare(a, b Image) int {
	return cmp.Or(cmp.Compare(s.Key(b.Size, b.LastUsed, b.Updated), s.Key(a.Size, a.LastUsed, a.Updated)),
		strings.Compare(a.Repo, b.Repo), cmp.Compare(a.Root, b.Root), strings.Compare(a.Tag, b.Tag))
}

// ImageFilter selects images by what is known of them. The zero value selects all.
type ImageFilter struct {
	Origins    []Origin  // any of these; none selects all
	Platforms  Platforms // any of these; none selects all
	Incomplete bool      // only images that are not complete
	Pinned     bool      // only images that are pinned
	// Has and Lacks select images with and without a referrer of a kind that [Attached] knows. "" selects all.
	Has, Lacks ReferrerKind
	// UnusedSince selects images that were not used since then. An image that was never used counts from when it was
	// stored. Zero selects all.
	UnusedSince time.Time
}

// Accepts reports whether the filter selects an image.
func (f *ImageFilter) Accepts(i Image) bool {
	switch {
	case len(f.Origins) > 0 && !slices.Contains(f.Origins, i.Origin),
		f.Incomplete && i.Complete,
		f.Pinned && !i.Pinned,
		f.Has != "" && !i.Attached.Has(f.Has),
		f.Lacks != "" && i.Attached.Has(f.Lacks),
		!f.UnusedSince.IsZero() && !lastUse(i).Before(f.UnusedSince):
		return false
	}
	return f.acceptsPlatform(i.Platform)
}

func (f *ImageFilter) acceptsPlatform(platform string) bool {
	if len(f.Platforms) == 0 {
		return true
	}
	own, err := ParsePlatforms([]string{platform})
	return err == nil && f.Platforms.Accept(own[0])
}

// lastUse returns when an image was last used or stored.
func lastUse(i Image) time.Time {
	if i.Updated.After(i.LastUsed) {
		return i.Updated
	}
	return i.LastUsed
}

// IsZero reports whether the filter selects all images.
func (f *ImageFilter) IsZero() bool {
	return len(f.Origins) == 0 && len(f.Platforms) == 0 && !f.Incomplete && !f.Pinned && f.Has == "" && f.Lacks == "" && f.UnusedSince.IsZero()
}

// ImageQuery asks for a page of the stored images.
type ImageQuery struct {
	Match  ImageMatch
	Filter ImageFilter
	Sort   ImageSort // "" is [SortByName]
	// Reverse reverses the order.
	Reverse bool
	// Limit is the maximum number of images; at least 1.
	Limit int
	// After continues a list after the page that had this [ImagePage.Next]. It belongs to the order of that page.
	After string
}

// ImagePage is a page of images. What it says of each image is current. Without a filter, the pages in the order of names
// are read from the index. Any other list is selected and ordered by a survey of all images, which may be older.
type ImagePage struct {
	Images []Image
	Next   string // continues the list; "" at its end
	// Matches is the number of images that are selected, and Surveyed is when the survey began; -1 and the zero time if
	// there was none.
	Matches  int
	Surveyed time.Time
}

// ImageCounts counts the stored images, each platform of a name once, as a survey found them.
type ImageCounts struct {
	Images       int `json:"images"`
	Complete     int `json:"complete"`
	Incomplete   int `json:"incomplete"`
	Unreadable   int `json:"unreadable,omitempty"` // within Incomplete; see [Image.Error]
	Pinned       int `json:"pinned"`
	Repositories int `json:"repositories"`
	// Origins has the number of images of each origin that has some.
	Origins map[Origin]int `json:"origins"`
	// Surveyed is when the survey began. It may be older than now by ten times as long as a survey takes, and the time
	// that nobody asked.
	Surveyed time.Time `json:"surveyed"`
}
