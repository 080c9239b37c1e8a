package ui_test

import (
	"archive/tar"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"airmirror/api/admin"
	"airmirror/api/registry"
	"airmirror/mirror"
)

// TestOverview checks the numbers and the list of incomplete images, with the reason for each.
func TestOverview(t *testing.T) {
	c := open(t)
	c.get("").shows(t, http.StatusOK, "No image is stored yet")
	c.push("library/alpine", "3", true)
	c.eventuallyShows("", "Every stored image is complete.")
	c.push("library/busybox", "1", false)
	c.eventuallyShows("", `1<small> / 2</small>`, "library/busybox:1", "The mirror is offline. The missing part can come with a bundle")
}

// TestImageList checks the search, the filters and the folders of the list.
func TestImageList(t *testing.T) {
	c := open(t)
	c.get("images").shows(t, http.StatusOK, "No image is stored yet.")
	for i := range 120 {
		c.push("team/app", fmt.Sprintf("v%03d", i), true)
	}
	c.push("library/busybox", "1", false)
	c.eventuallyShows("images", "121 images")
	for _, test := range []struct {
		query    string
		has, not string
	}{
		{"", "121 images", "No stored image"},
		{"", "team/app:v098", "team/app:v099"}, // busybox is the first of a hundred
		{"q=BUSY", "library/busybox:1", "team/app:"},
		{"q=v11", "team/app:v119", "team/app:v098"},
		{"q=app:v00", "team/app:v009", "team/app:v010"},
		{"q=team/**:v01*", "team/app:v019", "team/app:v020"},
		{"state=incomplete", "library/busybox:1", "team/app:v"},
		{"origin=pushed", "No stored image matches.", "busybox:1"},
		{"in=team", "team/app:v000", "busybox:1"},
		{"in=team&q=v11", "team/app:v110", "team/app:v100"},
		{"in=team/app&q=v11", "team/app:v110", "team/app:v100"},
		{"in=library&q=busy", "library/busybox:1", "team/app:"},
		{"sort=updated", "library/busybox:1", "team/app:v000"},
		{"platform=linux/amd64&q=busy", "library/busybox:1", "team/app:"},
		{"platform=linux/arm64", "No stored image matches.", "busybox:1"},
		{"q=[", "NAME_INVALID", "<table"},
	} {
		a := c.get("images?" + test.query)
		a.shows(t, a.StatusCode, test.has)
		if strings.Contains(a.body, test.not) {
			t.Errorf("images?%s shows %s", test.query, test.not)
		}
	}
}

// TestAttachedSignatures checks that a list and a page say that a signature or an SBOM is stored, and never that one is valid.
func TestAttachedSignatures(t *testing.T) {
	c := open(t)
	signed := c.push("team/signed", "1", true)
	c.push("team/plain", "1", true)
	c.pushTyped("team/signed", mirror.SubjectTag(signed)+".sig", "application/vnd.oci.image.config.v1+json", "application/vnd.dev.cosign.simplesigning.v1+json")
	c.eventuallyShows("images?q=signed:1", "team/signed:1", "signature stored")
	c.eventuallyShows("images?state=signed", "team/signed:1")
	for query, want := range map[string][2]string{
		"images?state=signed":               {"team/signed:1<", "team/plain:1<"},
		"images?state=unsigned":             {"team/plain:1<", "team/signed:1<"},
		"images?state=sbom":                 {"No stored image matches.", "team/signed:1<"},
		"images?q=plain":                    {"team/plain:1<", "signature stored"},
		"image?ref=docker.io/team/signed:1": {"signature stored", "SBOM</span>"},
		"image?ref=docker.io/team/plain:1":  {"team/plain:1", "signature stored"},
	} {
		a := c.get(query)
		a.shows(t, http.StatusOK, want[0])
		if strings.Contains(a.body, want[1]) || strings.Contains(a.body, "signature verified") {
			t.Errorf("%s has %s:\n%s", query, want[1], a.body)
		}
	}
}

// TestImageListContinues follows the links from page to page: each image is listed once. The other links lead back.
func TestImageListContinues(t *testing.T) {
	c := open(t)
	for i := range 250 {
		c.push("team/app", fmt.Sprintf("v%03d", i), true)
	}
	for _, sort := range []string{"name", "unused"} {
		seen := map[string]int{}
		pages, last := 0, ""
		link := func(rel string) string {
			found := regexp.MustCompile(`rel="` + rel + `" href="([^"]*)"`).FindStringSubmatch(last)
			if found == nil {
				return ""
			}
			return html.UnescapeString(found[1])
		}
		first := ""
		for address := "images?in=team&sort=" + sort; address != ""; pages++ {
			body := c.get(address).body
			if last = body; first == "" {
				first = body
			}
			for _, found := range regexp.MustCompile(`name="ref" value="([^"]*)"`).FindAllStringSubmatch(body, -1) {
				seen[found[1]]++
			}
			address = link("next")
		}
		back := 0
		for ; link("prev") != ""; back++ {
			last = c.get(link("prev")).body
		}
		if names := regexp.MustCompile(`name="ref" value="[^"]*"`); back != 2 || !slices.Equal(names.FindAllString(last, -1), names.FindAllString(first, -1)) {
			t.Errorf("by %s, %d links lead back to %s", sort, back, last)
		}
		if pages != 3 || len(seen) != 250 {
			t.Errorf("by %s, %d pages list %d images", sort, pages, len(seen))
		}
		for ref, n := range seen {
			if n != 1 {
				t.Errorf("by %s, %s is listed %d times", sort, ref, n)
			}
		}
	}
}

// TestListReadsOnePage checks that the list does not read all images.
func TestListReadsOnePage(t *testing.T) {
	c := open(t)
	c.push("team/app", "1", true)
	c.get("images?sort=size").shows(t, http.StatusOK, "team/app:1")
	want := []string{"GET /api/v1/images/page?limit=100&sort=size", "GET /api/v1/images/counts", "GET /api/v1/folders?in=", "GET /api/v1/mode"}
	for _, request := range c.asked {
		if !slices.Contains(want, request) {
			t.Errorf("the page asks for %s", request)
		}
	}
	if !slices.Contains(c.asked, want[0]) {
		t.Errorf("the page asks for %q", c.asked)
	}
}

// TestDelete checks that the plan is shown before anything is deleted, and that only confirming it deletes.
func TestDelete(t *testing.T) {
	c := open(t)
	c.push("library/alpine", "3", true)
	c.push("library/alpine", "4", true)
	form := url.Values{"action": {"delete"}, "ref": {"docker.io/library/alpine:3"}, "back": {"images?q=alpine"}}
	c.post("images", form).shows(t, http.StatusOK, "This deletes 1 tag.", "docker.io/library/alpine:3", `name="confirm" value="1"`)
	c.get("images").shows(t, http.StatusOK, "library/alpine:3", "library/alpine:4")
	form.Set("confirm", "1")
	c.post("images", form).shows(t, http.StatusOK, "1 tag was deleted.", "images?q=alpine")
	if body := c.get("images").body; strings.Contains(body, "alpine:3") || !strings.Contains(body, "alpine:4") {
		t.Errorf("after the removal: %s", body)
	}
	c.post("images", url.Values{"action": {"delete"}}).shows(t, http.StatusBadRequest, "no image was chosen")
}

// TestChangeAllThatMatch changes all images that a filter selects, beyond the page. The user sees first how many they are.
func TestChangeAllThatMatch(t *testing.T) {
	c := open(t)
	for i := range 130 {
		c.push("team/app", fmt.Sprintf("v%03d", i), true)
	}
	c.push("library/alpine", "3", true)
	if body := c.get("images?q=alpine").body; strings.Contains(body, `name="matching"`) {
		t.Error("a list of one page offers other pages")
	}
	c.get("images?in=team").shows(t, http.StatusOK, `name="matching" value="in=team"`)
	refs := regexp.MustCompile(`type="hidden" name="ref" value="([^"]*)"`)
	change := func(action, filter, dryRun string, more url.Values, done string) {
		t.Helper()
		form := url.Values{"action": {action}, "matching": {filter}, "ref": {"docker.io/library/alpine:3"}, "back": {"images"}}
		a := c.post("images", form)
		a.shows(t, http.StatusOK, dryRun)
		form.Del("matching")
		form.Del("ref")
		for _, ref := range refs.FindAllStringSubmatch(a.body, -1) {
			form.Add("ref", ref[1])
		}
		for key, values := range more {
			form[key] = values
		}
		if a = c.post("images", form); a.StatusCode == http.StatusSeeOther {
			a = c.get(a.Header.Get("Location"))
		}
		a.shows(t, http.StatusOK, done)
	}
	change("pin", "in=team&q=v00", "10 images are pinned", nil, "10 images are pinned: the collector keeps them.")
	change("unpin", "state=pinned&q=v009", "The pin of 1 image is removed", nil, "1 image is no longer pinned.")
	c.post("images", url.Values{"action": {"export"}, "matching": {"in=team"}, "back": {"images"}}).shows(t, http.StatusOK, "The bundle has 130 images")
	change("delete", "in=team", "This deletes 130 tags.", url.Values{"confirm": {"1"}, "force": {"1"}}, "130 tags were deleted.")
	if body := c.get("images").body; !strings.Contains(body, "library/alpine:3") || strings.Contains(body, "team/app") {
		t.Errorf("after the removal: %s", body)
	}
	c.post("images", url.Values{"action": {"delete"}, "matching": {"in=team"}}).shows(t, http.StatusBadRequest, "no stored image matches any more")
}

// TestPin checks that a pinned image is shown as such, and is deleted only if the user allows it.
func TestPin(t *testing.T) {
	c := open(t)
	c.push("library/alpine", "3", true)
	form := url.Values{"action": {"pin"}, "ref": {"docker.io/library/alpine:3"}, "back": {"images"}}
	a := c.post("images", form)
	c.get(a.Header.Get("Location")).shows(t, http.StatusOK, "1 image is pinned", `<span class="badge">pinned</span>`)
	form.Set("action", "delete")
	c.post("images", form).shows(t, http.StatusOK, "Some of these images are pinned.")
	form.Set("confirm", "1")
	c.post("images", form).shows(t, http.StatusForbidden, "unpin it first")
	form.Set("force", "1")
	c.post("images", form).shows(t, http.StatusOK, "1 tag was deleted.")
}

// TestReaderSeesNoChanges checks that the list offers only what a user may do.
func TestReaderSeesNoChanges(t *testing.T) {
	c := open(t)
	c.push("library/alpine", "3", true)
	c.access = admin.Access{User: "bob", Rights: rights{registry.Pull}}
	if body := c.get("images").body; strings.Contains(body, `name="action" value="delete"`) || strings.Contains(body, `type="checkbox" name="ref"`) {
		t.Error("the list offers changes")
	}
}

// TestBrowsingIsNoUse checks that pages do not count as use of an image, which would keep it from the collector.
func TestBrowsingIsNoUse(t *testing.T) {
	c := open(t)
	c.push("library/alpine", "3", true)
	used := func() (last time.Time) {
		for image, err := range c.mirror.Images(t.Context(), mirror.ImageMatch{}) {
			c.must(err)
			last = image.LastUsed
		}
		return last
	}
	before := used()
	for _, page := range []string{"", "images", "images?q=alpine", "image?ref=docker.io/library/alpine:3&raw=1"} {
		c.get(page).shows(t, http.StatusOK)
	}
	if after := used(); !after.Equal(before) {
		t.Errorf("the last use moved from %s to %s", before, after)
	}
}

// TestImage checks what the page of an image shows, and the commands that pull it from this mirror.
func TestImage(t *testing.T) {
	c := open(t)
	c.push("library/alpine", "3", true)
	c.push("library/busybox", "1", false)
	c.get("image?ref=docker.io/library/alpine:3").shows(t, http.StatusOK, "<h1>library/alpine:3</h1>", "linux/amd64", "only here",
		"docker pull example.com/library/alpine:3<", "podman pull example.com/library/alpine:3 --tls-verify=false", "Nothing refers to this image.")
	c.get("image?ref=docker.io/library/alpine:3", "X-Forwarded-Proto", "https").shows(t, http.StatusOK, "podman pull example.com/library/alpine:3<")
	c.get("image?ref=docker.io/library/alpine:3&raw=1").shows(t, http.StatusOK, "&#34;schemaVersion&#34;:2")
	c.get("image?ref=docker.io/library/busybox:1").shows(t, http.StatusOK, "incomplete", "not stored")
	for range 2 {
		_, err := c.mirror.Manifest(mirror.WithClient(t.Context(), &net.TCPAddr{IP: net.IPv4(192, 0, 2, 7)}), mirror.Ref{Repo: mirror.Repo{Host: mirror.DockerHub, Path: "library/alpine"}, Tag: "3"})
		c.must(err)
	}
	c.get("image?ref=docker.io/library/alpine:3").shows(t, http.StatusOK, "<summary>2 pulls in 90 days</summary>", time.Now().UTC().Format(time.DateOnly)+": 2 pulls")
	c.get("image?ref=docker.io/library/none:1").shows(t, http.StatusNotFound, "MANIFEST_UNKNOWN", "This image is not stored.")
	c.get("image").shows(t, http.StatusBadRequest, "NAME_INVALID")
}

// TestPullCommandFitsContent checks that a chart is pulled with Helm, and another artifact with oras.
func TestPullCommandFitsContent(t *testing.T) {
	c := open(t)
	c.pushTyped("charts/web", "0.1.0_rc1", "application/vnd.cncf.helm.config.v1+json", "application/vnd.cncf.helm.chart.content.v1.tar+gzip")
	c.pushTyped("files/model", "1", "application/vnd.oci.empty.v1+json", "application/vnd.example.model")
	c.get("image?ref=docker.io/charts/web:0.1.0_rc1").shows(t, http.StatusOK, "helm pull oci://example.com/charts/web --version 0.1.0&#43;rc1 --plain-http", "Helm chart")
	c.get("image?ref=docker.io/files/model:1").shows(t, http.StatusOK, "oras pull example.com/files/model:1 --plain-http", "artifact")
}

// TestExport checks that the plan is shown first, that the download is a bundle, and that an export that fails is no
// complete answer.
func TestExport(t *testing.T) {
	c := open(t)
	c.push("library/alpine", "3", true)
	c.push("library/busybox", "1", false)
	form := url.Values{"action": {"export"}, "ref": {"docker.io/library/alpine:3", "docker.io/library/busybox:1"}, "back": {"images"}}
	c.post("images", form).shows(t, http.StatusOK, "The bundle has 1 image", "docker.io/library/alpine:3", "docker.io/library/busybox:1")
	form.Set("confirm", "1")
	a := c.post("images", form)
	if got := a.Header.Get("Content-Disposition"); a.StatusCode != http.StatusOK || !strings.HasPrefix(got, "attachment; filename=bundle-") {
		t.Fatalf("the download is answered with %d, %q", a.StatusCode, got)
	}
	files := map[string]bool{}
	for archive := tar.NewReader(strings.NewReader(a.body)); ; {
		header, err := archive.Next()
		if err == io.EOF {
			break
		}
		c.must(err)
		files[header.Name] = true
	}
	if !files["index.json"] || !files["oci-layout"] {
		t.Errorf("the bundle has %v", files)
	}
	form.Set("ref", "docker.io/library/none:1")
	form.Del("confirm")
	c.post("images", form).shows(t, http.StatusNotFound, "docker.io/library/none:1")
}

// TestExportThatFailsIsNoDownload breaks the stream of an export: the connection to the browser breaks as well.
func TestExportThatFailsIsNoDownload(t *testing.T) {
	c := open(t)
	c.push("library/alpine", "3", true)
	form := url.Values{"action": {"export"}, "confirm": {"1"}, "ref": {"docker.io/library/alpine:3"}}
	c.fakeExport = func(req *http.Request) io.Reader { return strings.NewReader("\x00\x00\x00\x05bytes") } // and no empty frame
	defer func() {
		if recovered := recover(); recovered != http.ErrAbortHandler {
			t.Errorf("the answer ended with %v", recovered)
		}
	}()
	c.post("images", form)
}
