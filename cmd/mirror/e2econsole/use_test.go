package e2econsole_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
)

// TestDeleteManyImages chooses all 200 tags of a repository, a page of the list at a time, reads the plan, and deletes them.
func TestDeleteManyImages(t *testing.T) {
	m := startMirror(t, "--offline")
	m.pushTags("team/app", 200)
	m.push("team/stays", "1", "amd64")
	b := startBrowser(t)
	b.login(m)
	for left := 200; left > 0; left -= 100 {
		b.open(m, "images?in=team/app")
		b.click("[data-select-all]")
		b.shows("Selected: 100")
		b.click(`button[value="delete"]`)
		b.shows("This deletes 100 tags.")
		if listed := m.command("ls", "-q"); strings.Count(listed, "team/app") != left {
			t.Errorf("the plan has deleted something: %s", listed)
		}
		b.click(`button[value="delete"]`)
		b.shows("100 tags were deleted.")
	}
	if listed := m.command("ls", "-q"); strings.Contains(listed, "team/app") || !strings.Contains(listed, "team/stays") {
		t.Errorf("after the removal the mirror has %s", listed)
	}
}

// TestSpaceIsPlanOfCollector checks that the page of space shows what gc --dry-run does.
func TestSpaceIsPlanOfCollector(t *testing.T) {
	config := filepath.Join(t.TempDir(), "mirror.yaml")
	must(t, os.WriteFile(config, []byte(`gc: {grace: 1ms, rules: [{match: "team/app", keepNewest: 2, includePushed: true}]}`), 0o600))
	m := startMirror(t, "--offline", "--config", config)
	m.pushTags("team/app", 8)
	m.push("team/stays", "1", "amd64")
	m.blob("team/stays", "application/octet-stream", []byte("a blob that no manifest uses"))
	var names []string
	var planned struct {
		Totals struct{ Bytes int64 }
	}
	for line := range strings.Lines(m.command("gc", "--dry-run", "--json")) {
		var event struct {
			Kind string
			Item json.RawMessage
		}
		must(t, json.Unmarshal([]byte(line), &event))
		switch event.Kind {
		case "candidate":
			var candidate struct{ Kind, Name, Digest string }
			must(t, json.Unmarshal(event.Item, &candidate))
			names = append(names, candidate.Name)
		case "plan":
			must(t, json.Unmarshal(event.Item, &planned))
		}
	}
	if len(names) < 7 {
		t.Fatalf("gc --dry-run has only %q", names)
	}
	b := startBrowser(t)
	b.login(m)
	b.open(m, "space")
	b.click(`button[value="plan"]`)
	b.waitFor(`button[value="collect"]`)
	if rows := eval[int](b, `document.querySelectorAll('.scroll[aria-labelledby="plan-title"] tbody tr').length`); rows != len(names) {
		t.Errorf("the page has %d candidates, and gc --dry-run %d: %q", rows, len(names), names)
	}
}

// TestWithoutJavaScript logs in, reads every page, switches the language, deletes an image and uploads an archive in a browser that
// runs no scripts.
func TestWithoutJavaScript(t *testing.T) {
	m := startMirror(t, "--offline")
	m.fill()
	b := startBrowser(t)
	b.run(command(emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}))
	b.login(m)
	pages := eval[[]string](b, `[...document.querySelectorAll("nav.pages a")].map((a) => a.getAttribute("href"))`)
	for _, page := range append(pages, "image?ref=docker.io/library/nginx:1.0") {
		b.open(m, page)
		if title := eval[string](b, "document.querySelector('h1').textContent"); strings.Contains(title, "did not work") {
			t.Errorf("page %s: %s", page, title)
		}
	}
	b.open(m, "images?q=nginx:1.1")
	b.click(`.switch button[value="zh"]`)
	b.waitFor(`html[lang="zh"] h1`)
	b.click(`input[name="ref"]`)
	b.click(`button[value="delete"]`)
	b.waitFor(`main form[action="images"] a[href^="images"]`) // the plan
	b.click(`button[value="delete"]`)
	b.waitFor(".banner.ok")
	if listed := m.command("ls", "-q"); strings.Contains(listed, "nginx:1.1") || !strings.Contains(listed, "nginx:1.0") {
		t.Errorf("after the removal the mirror has %s", listed)
	}
	b.click(`form button[name="theme"]`)
	b.waitFor(`html[data-theme="dark"] h1`)
	b.open(m, "transfer")
	b.upload(writeArchive(t, "docker.io/team/uploaded:1", 1<<20))
	b.waitFor("#job-title")
	eventually(t, "the archive is imported", func() error {
		if listed := m.command("ls", "-q"); !strings.Contains(listed, "team/uploaded:1") {
			return fmt.Errorf("the mirror has %s", listed)
		}
		return nil
	})
}

// TestPageFollowsMirror checks that an open page shows what happens, keeps what somebody chose on it, and says when the
// mirror does not answer.
func TestPageFollowsMirror(t *testing.T) {
	m := startMirror(t, "--offline")
	b := startBrowser(t)
	b.login(m)
	b.open(m, "")
	b.shows("No image is stored yet")
	eval[bool](b, "window.loadedOnce = true")
	m.push("team/app", "1", "amd64")
	b.shows("Every stored image is complete.")
	m.request(http.MethodGet, "/v2/library/missing/manifests/1", "", nil)
	b.holds(`document.querySelectorAll(".figure .value")[2].innerText.trim() === "1"`)
	if !eval[bool](b, "window.loadedOnce === true") {
		t.Error("the page was loaded again as a whole")
	}
	b.open(m, "wants")
	b.shows("library/missing:1")
	eval[bool](b, "window.loadedOnce = true")
	m.request(http.MethodGet, "/v2/library/other/manifests/2", "", nil)
	b.shows("library/other:2")
	if !eval[bool](b, "window.loadedOnce === true") {
		t.Error("the page of wants was loaded again as a whole")
	}
}

// TestUpstreamCutShows stops the registry that images are fetched from while the overview is open.
func TestUpstreamCutShows(t *testing.T) {
	upstream := startMirror(t, "--offline")
	upstream.push("library/app", "1", "amd64")
	m := startMirror(t, "--known-upstreams=false", "--upstream", "docker.io=http://"+upstream.address)
	if status, _, body := m.request(http.MethodGet, "/v2/library/app/manifests/1", "", nil); status != http.StatusOK {
		t.Fatalf("a pull through the mirror: %d %s", status, body)
	}
	b := startBrowser(t)
	b.login(m)
	b.open(m, "")
	b.waitFor(`section[aria-labelledby="upstreams-title"] .state.ok`)
	upstream.stop()
	m.request(http.MethodGet, "/v2/library/other/manifests/1", "", nil)
	b.waitFor(`section[aria-labelledby="upstreams-title"] .state:is(.bad, .warn)`)
}

// TestOnlyItsOwnAddress checks that pages load nothing from elsewhere.
func TestOnlyItsOwnAddress(t *testing.T) {
	m := startMirror(t, "--offline")
	m.fill()
	b := startBrowser(t)
	b.login(m)
	for _, page := range []string{"", "images", "system"} {
		b.open(m, page)
		for _, address := range eval[[]string](b, `performance.getEntriesByType("resource").map((e) => e.name)`) {
			if !strings.HasPrefix(address, "http://"+m.address+"/console/") {
				t.Errorf("page %q loads %s", page, address)
			}
		}
	}
}
