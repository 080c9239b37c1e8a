package e2econsole_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
)

// TestDeleteManyImages chooses all tags of a list, reads the plan, and deletes them.
func TestDeleteManyImages(t *testing.T) {
	m := startMirror(t, "--offline")
	for i := range 60 {
		m.push("team/app", fmt.Sprintf("v%02d", i), "amd64")
	}
	m.push("team/stays", "1", "amd64")
	b := startBrowser(t)
	b.login(m)
	b.open(m, "images?in=team/app")
	b.click("[data-select-all]")
	b.shows("Selected: 60")
	b.click(`button[value="delete"]`)
	b.shows("This deletes 60 tags.")
	if listed := m.command("ls", "-q"); strings.Count(listed, "team/app") != 60 {
		t.Errorf("the plan has deleted something: %s", listed)
	}
	b.click(`button[value="delete"]`)
	b.shows("60 tags were deleted.")
	if listed := m.command("ls", "-q"); strings.Contains(listed, "team/app") || !strings.Contains(listed, "team/stays") {
		t.Errorf("after the removal the mirror has %s", listed)
	}
}

// TestWithoutJavaScript logs in, reads every page, switches the language and deletes an image in a browser that runs no
// scripts.
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
