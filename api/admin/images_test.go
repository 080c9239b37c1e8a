package admin_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"airmirror/api/admin"
	"airmirror/mirror"
	"airmirror/mirror/proxy"
)

// namesOf returns the names of images, separated by spaces.
func namesOf(images []admin.Image) string {
	var names []string
	for _, image := range images {
		names = append(names, image.Name+":"+image.Tag)
	}
	return strings.Join(names, " ")
}

func TestImagePage(t *testing.T) {
	eachTransport(t, admin.Options{}, func(t *testing.T, m testMirror) {
		m.addImage(t, alpine, "3.1", true)
		m.addImage(t, alpine, "3.2", false)
		m.addImage(t, hub, "latest", true)
		m.addImage(t, other, "a-long-tag-makes-a-large-layer", true)
		must(t, m.mirror.Pin(t.Context(), mirror.Ref{Repo: hub, Tag: "latest"}))
		all := "library/alpine:3.1 library/alpine:3.2 team/app:latest ghcr.io/org/app:a-long-tag-makes-a-large-layer"
		for _, tt := range []struct {
			query admin.PageQuery
			want  string
		}{
			{admin.PageQuery{}, all},
			{admin.PageQuery{Limit: 3}, all},
			{admin.PageQuery{Limit: 1}, all},
			{admin.PageQuery{Query: admin.Query{Incomplete: true}}, "library/alpine:3.2"},
			{admin.PageQuery{Query: admin.Query{Pinned: true}, Limit: 1}, "team/app:latest"},
			{admin.PageQuery{Query: admin.Query{Match: []string{"**/app"}}, Limit: 1, Reverse: true}, "ghcr.io/org/app:a-long-tag-makes-a-large-layer team/app:latest"},
			{admin.PageQuery{Query: admin.Query{Origins: []string{"pushed"}}}, ""},
			{admin.PageQuery{Sort: mirror.SortBySize, Limit: 1}, "ghcr.io/org/app:a-long-tag-makes-a-large-layer library/alpine:3.1 library/alpine:3.2 team/app:latest"},
		} {
			var got []admin.Image
			for q := tt.query; ; {
				page, err := m.ImagePage(t.Context(), q)
				must(t, err)
				got = append(got, page.Images...)
				if q.After = page.Next; q.After == "" {
					break
				}
			}
			want := strings.Fields(tt.want)
			if names := strings.Fields(namesOf(got)); tt.query.Sort == mirror.SortBySize && names[0] != want[0] ||
				tt.query.Sort != mirror.SortBySize && !slices.Equal(names, want) {
				t.Errorf("%+v lists %v, want %v", tt.query, names, want)
			}
		}
		for _, q := range []admin.PageQuery{{Sort: "weight"}, {After: "here"}, {Query: admin.Query{Origins: []string{"stolen"}}}, {Query: admin.Query{Platforms: []string{"linux"}}}} {
			if _, err := m.ImagePage(t.Context(), q); mirror.CodeOf(err) != mirror.CodeUnsupported && mirror.CodeOf(err) != mirror.CodePaginationInvalid {
				t.Errorf("%+v: %v", q, err)
			}
		}
		counts, err := m.ImageCounts(t.Context())
		must(t, err)
		if counts.Images != 4 || counts.Incomplete != 1 || counts.Pinned != 1 || counts.Repositories != 3 || counts.Surveyed.IsZero() {
			t.Errorf("%+v", counts)
		}
	})
}

func TestFolders(t *testing.T) {
	eachTransport(t, admin.Options{}, func(t *testing.T, m testMirror) {
		m.addImage(t, alpine, "3.1", true)
		m.addImage(t, alpine, "3.2", false)
		m.addImage(t, hub, "latest", true)
		m.addImage(t, other, "1", true)
		for in, want := range map[string][]admin.Folder{
			"":                     {{Name: "ghcr.io", Images: 1}, {Name: "library", Images: 2}, {Name: "team", Images: 1}},
			"library":              {{Name: "alpine", Images: 2}},
			"ghcr.io/":             {{Name: "org", Images: 1}},
			"library/alpine":       {},
			"libr":                 {},
			"ghcr.io/org/app/none": {},
		} {
			folders, err := m.Folders(t.Context(), in)
			must(t, err)
			if !slices.Equal(folders, want) {
				t.Errorf("the folders in %q are %v, want %v", in, folders, want)
			}
		}
	})
}

// TestPullsAreListed checks that reading a manifest counts as a pull, and neither asking for it nor listing does.
func TestPullsAreListed(t *testing.T) {
	eachTransport(t, admin.Options{}, func(t *testing.T, m testMirror) {
		m.addImage(t, alpine, "3.1", true)
		m.addImage(t, alpine, "3.2", true)
		ref := mirror.Ref{Repo: alpine, Tag: "3.1"}
		for range 2 {
			_, err := m.mirror.Manifest(t.Context(), ref)
			must(t, err)
		}
		_, err := m.mirror.StatManifest(t.Context(), ref)
		must(t, err)
		for range 2 {
			page, err := m.ImagePage(t.Context(), admin.PageQuery{})
			must(t, err)
			if page.Images[0].Pulls != 2 || page.Images[1].Pulls != 0 {
				t.Errorf("listed: %+v", page.Images)
			}
			details, err := m.ImageDetails(t.Context(), ref.String(), false)
			must(t, err)
			if pulls := details.Platforms[0].Pulls; len(pulls) != 1 || pulls[0].Pulls != 2 || pulls[0].Day == "" {
				t.Errorf("details: %+v", pulls)
			}
		}
		must(t, m.mirror.Close(t.Context()))
		again, err := proxy.New(m.store, nil, proxy.Options{Offline: true})
		must(t, err)
		defer again.Close(context.Background())
		for image, err := range again.Images(t.Context(), mirror.ImageMatch{}) {
			must(t, err)
			if want := map[string]int64{"3.1": 2, "3.2": 0}[image.Tag]; image.Pulls != want {
				t.Errorf("after a restart, %s was pulled %d times, want %d", image.Tag, image.Pulls, want)
			}
		}
	})
}
