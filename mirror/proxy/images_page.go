package proxy

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"iter"
	"slices"
	"sort"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

var errTooManyImages = mirror.Errorf(mirror.CodeUnsupported, "the mirror stores more than %d images: they can only be listed by name", maxRows)

// imageCursor is a place in a list of images: after the nth image of a name. It does not depend on the images that are
// stored, so a list continues in the right place when they change.
type imageCursor struct {
	Sort    mirror.ImageSort `json:"s"`
	Reverse bool             `json:"v,omitempty"`
	Key     int64            `json:"k,omitempty"` // see [mirror.ImageSort.Key]
	Repo    string           `json:"r"`
	Name    string           `json:"t"` // tag or digest
	Root    bool             `json:"d,omitempty"`
	N       int32            `json:"n,omitempty"`
}

// String returns the cursor for a client.
func (c imageCursor) String() string {
	text, _ := json.Marshal(c) // cannot fail
	return base64.RawURLEncoding.EncodeToString(text)
}

// parseImageCursor reads the cursor of a query; the zero value is the beginning.
func parseImageCursor(q mirror.ImageQuery) (c imageCursor, err error) {
	if q.After == "" {
		return c, nil
	}
	text, err := base64.RawURLEncoding.DecodeString(q.After)
	if err == nil {
		err = json.Unmarshal(text, &c)
	}
	if err != nil || c.Repo == "" || c.Sort != q.Sort || c.Reverse != q.Reverse {
		return c, mirror.Errorf(mirror.CodePaginationInvalid, "the place to continue at is not one of this list: begin the list again")
	}
	return c, nil
}

// ref returns the name.
func (c imageCursor) ref() (ref mirror.Ref, err error) {
	ref.Repo, err = mirror.ParseRepo(c.Repo)
	if c.Root {
		ref.Digest = digest.Digest(c.Name)
	} else {
		ref.Tag = c.Name
	}
	return ref, err
}

// ImagePage returns a page of the images that q selects. It counts as no use, and sends no requests.
func (i *images) ImagePage(ctx context.Context, q mirror.ImageQuery) (mirror.ImagePage, error) {
	q.Sort = cmp.Or(q.Sort, mirror.SortByName)
	q.Limit = max(1, q.Limit)
	after, err := parseImageCursor(q)
	if err != nil {
		return mirror.ImagePage{}, err
	}
	ctx = mirror.WithoutUsage(ctx)
	if q.Filter.IsZero() && q.Sort == mirror.SortByName && !q.Reverse {
		l, err := i.lister(ctx, q.Match, true)
		if err != nil {
			return mirror.ImagePage{}, err
		}
		return l.pageByName(ctx, q, after)
	}
	return i.pageBySurvey(ctx, q, after)
}

// pageByName reads a page from the index: no more names than the page needs.
func (l imageLister) pageByName(ctx context.Context, q mirror.ImageQuery, after imageCursor) (page mirror.ImagePage, err error) {
	page = mirror.ImagePage{Images: []mirror.Image{}, Matches: -1}
	add := func(name imageName, images []mirror.Image, from int) (full bool) {
		for n := from; n < len(images); n++ {
			if len(page.Images) == q.Limit {
				return true
			}
			page.Images = append(page.Images, l.finished(images[n]))
			after = cursorOf(q, name, images[n], n)
			page.Next = after.String()
		}
		return false
	}
	start := imageName{}
	if after.Repo != "" {
		if start.Ref, err = after.ref(); err != nil {
			return page, err
		}
		rest, err := l.ofNames(ctx, []imageName{start}) // of the name that the page before ended in
		if err != nil {
			return page, err
		}
		if add(start, rest[0], int(after.N)+1) {
			return page, nil
		}
	}
	next, stop := iter.Pull2(l.namesAfter(ctx, start.Ref))
	defer stop()
	for {
		var names []imageName
		for more := max(1, min(imagePage, q.Limit-len(page.Images))); more > 0; more-- {
			name, err, ok := next()
			if err != nil {
				return page, err
			}
			if !ok {
				break
			}
			names = append(names, name)
		}
		if len(names) == 0 {
			page.Next = ""
			return page, nil
		}
		found, err := l.ofNames(ctx, names)
		if err != nil {
			return page, err
		}
		for k, images := range found {
			if add(names[k], images, 0) {
				return page, nil
			}
		}
	}
}

// cursorOf returns the cursor after the nth image of a name.
func cursorOf(q mirror.ImageQuery, name imageName, image mirror.Image, n int) imageCursor {
	c := imageCursor{Sort: q.Sort, Reverse: q.Reverse, Repo: name.Repo.String(), Name: name.Tag, Root: name.Digest != "", N: int32(n)}
	if c.Root {
		c.Name = name.Digest.String()
	}
	c.Key = q.Sort.Key(image.Size, image.LastUsed, image.Updated)
	return c
}

// pageBySurvey selects and orders images by a survey, and reads those of the page.
func (i *images) pageBySurvey(ctx context.Context, q mirror.ImageQuery, after imageCursor) (mirror.ImagePage, error) {
	page := mirror.ImagePage{Images: []mirror.Image{}}
	detail := keepRows
	if len(q.Filter.Platforms) > 0 {
		detail = keepPlatforms
	}
	s, err := i.surveyed(ctx, detail, maxSurveyAge)
	if err != nil {
		return page, err
	}
	if s.tooMany {
		return page, errTooManyImages
	}
	l, err := i.lister(ctx, mirror.ImageMatch{}, true)
	if err != nil {
		return page, err
	}
	r := rankedRows{surveyedImages: s, q: q}
	r.rank()
	page.Surveyed, page.Matches = s.counts.Surveyed, len(r.order)
	if q.Match.Image != nil { // rows do not have the digests that it may compare
		page.Matches = -1
	}
	rest := r.after(after)
	for len(rest) > 0 && len(page.Images) < q.Limit {
		part := rest[:min(len(rest), q.Limit-len(page.Images))]
		rest = rest[len(part):]
		images, err := r.read(ctx, l, part)
		if err != nil {
			return page, err
		}
		page.Images = append(page.Images, images...)
		page.Next = r.cursor(part[len(part)-1]).String()
	}
	if len(rest) == 0 {
		page.Next = ""
	}
	return page, nil
}

// rankedRows are the rows of a survey that a query selects, in its order.
type rankedRows struct {
	*surveyedImages
	q     mirror.ImageQuery
	order []int32 // indexes in rows
}

func (r *rankedRows) rank() {
	selected := r.selectRepos(r.q.Match.Repo)
	for k := range r.rows {
		row := &r.rows[k]
		if selected[row.repo] && r.q.Filter.Accepts(r.image(row)) && r.named(row) {
			r.order = append(r.order, int32(k))
		}
	}
	slices.SortFunc(r.order, r.compare)
}

// named reports whether the query may select the name of a row.
func (r *rankedRows) named(row *imageRow) bool {
	if r.q.Match.Name == nil {
		return true
	}
	ref, err := r.name(row)
	return err == nil && r.q.Match.Name(ref.Ref)
}

// name returns the name of a row.
func (r *rankedRows) name(row *imageRow) (imageName, error) {
	ref, err := imageCursor{Repo: r.repos[row.repo], Name: row.name, Root: row.root}.ref()
	return imageName{Ref: ref, added: timeOf(row.updated)}, err
}

func (r *rankedRows) key(k int32) int64 {
	row := &r.rows[k]
	return r.q.Sort.Key(row.size, timeOf(row.used), timeOf(row.updated))
}

// compare orders rows, which are in the order of names.
func (r *rankedRows) compare(a, b int32) int {
	c := cmp.Or(cmp.Compare(r.key(b), r.key(a)), cmp.Compare(a, b))
	if r.q.Reverse {
		return -c
	}
	return c
}

// cursor returns the cursor after a row.
func (r *rankedRows) cursor(k int32) imageCursor {
	row := &r.rows[k]
	return imageCursor{Sort: r.q.Sort, Reverse: r.q.Reverse, Key: r.key(k), Repo: r.repos[row.repo], Name: row.name, Root: row.root, N: row.n}
}

// after returns the rows after a cursor.
func (r *rankedRows) after(c imageCursor) []int32 {
	if c.Repo == "" {
		return r.order
	}
	return r.order[sort.Search(len(r.order), func(k int) bool {
		at := r.cursor(r.order[k])
		order := cmp.Or(cmp.Compare(c.Key, at.Key), cmp.Compare(at.Repo, c.Repo), compareBool(at.Root, c.Root), cmp.Compare(at.Name, c.Name), cmp.Compare(at.N, c.N))
		if r.q.Reverse {
			order = -order
		}
		return order > 0
	}):]
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// read reads the images of rows as they are now. Those that do not exist any more are left out.
func (r *rankedRows) read(ctx context.Context, l imageLister, rows []int32) ([]mirror.Image, error) {
	var names []imageName
	index := make(map[mirror.Ref]int)
	for _, k := range rows {
		name, err := r.name(&r.rows[k])
		if err != nil {
			return nil, err
		}
		name.added = name.added.Add(-l.offset) // the survey has the time of the wall clock
		if _, known := index[name.Ref]; !known {
			index[name.Ref] = len(names)
			names = append(names, name)
		}
	}
	found, err := l.ofNames(ctx, names)
	if err != nil {
		return nil, err
	}
	images := make([]mirror.Image, 0, len(rows))
	for _, k := range rows {
		row := &r.rows[k]
		name, _ := r.name(row) // was parsed above
		if now := found[index[name.Ref]]; int(row.n) < len(now) && (r.q.Match.Image == nil || r.q.Match.Image(now[row.n])) {
			images = append(images, l.finished(now[row.n]))
		}
	}
	return images, nil
}
