package e2econsole_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// look is how a page is looked at.
type look struct {
	theme, language, device string
	width                   int64
}

func (l look) String() string { return l.device + "-" + l.theme + "-" + l.language }

// TestPagesAreAccessible checks every page with axe, in light and dark, in English and Chinese, on a phone and a desktop.
// Each page fits into the window, and its picture is kept.
func TestPagesAreAccessible(t *testing.T) {
	m := startMirror(t, "--offline")
	m.fill()
	axe, err := os.ReadFile(axeScript)
	must(t, err)
	must(t, os.MkdirAll(screenshots, 0o755))
	b := startBrowser(t)
	pages := map[string]string{"error": "no-such-page"}
	b.check(t, m, string(axe), map[string]string{"anonymous-overview": "", "anonymous-login": "login"})
	b.login(m)
	for _, link := range eval[[]string](b, `[...document.querySelectorAll("nav.pages a")].map((a) => a.getAttribute("href"))`) {
		name := strings.Trim(link, ".")
		pages[map[bool]string{true: "overview", false: name}[name == ""]] = name
	}
	pages["image"] = "image?ref=docker.io/library/alpine:1.0"
	pages["image-raw"] = "image?ref=docker.io/library/alpine:1.0&raw=1"
	pages["image-chart"] = "image?ref=docker.io/charts/web:0.1.0"
	pages["images-filtered"] = "images?in=team&sort=size"
	pages["images-none"] = "images?q=nothing-has-this-name"
	pages["image-unknown"] = "image?ref=docker.io/library/none:1"
	b.check(t, m, string(axe), pages)
}

// check checks pages in every look.
func (b *browser) check(t *testing.T, m *mirror, axe string, pages map[string]string) {
	for _, theme := range []string{"light", "dark"} {
		for _, language := range []string{"en", "zh"} {
			for device, width := range map[string]int64{"phone": 390, "desktop": 1280} {
				l := look{theme, language, device, width}
				b.run(
					command(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: theme}}}),
					chromedp.EmulateViewport(width, 900),
					command(network.SetExtraHTTPHeaders, network.SetExtraHTTPHeadersParams{Headers: network.Headers{"Accept-Language": language}}))
				for name, page := range pages {
					b.checkPage(t, m, axe, name, page, l)
				}
			}
		}
	}
}

func (b *browser) checkPage(t *testing.T, m *mirror, axe, name, page string, l look) {
	t.Helper()
	b.open(m, page)
	result := eval[string](b, axe+`; axe.run(document, {resultTypes: ["violations"]}).then((r) => JSON.stringify({passes: r.passes.length, violations: r.violations.map((v) =>
		({id: v.id, help: v.help, nodes: v.nodes.slice(0, 4).map((n) => n.html + " " + n.failureSummary)}))}))`)
	var found struct {
		Passes     int
		Violations []struct {
			ID, Help string
			Nodes    []string
		}
	}
	must(t, json.Unmarshal([]byte(result), &found))
	if found.Passes < 10 {
		t.Errorf("%s, %s: axe has checked only %d rules", name, l, found.Passes)
	}
	for _, v := range found.Violations {
		t.Errorf("%s, %s: %s: %s\n%s", name, l, v.ID, v.Help, strings.Join(v.Nodes, "\n"))
	}
	if wide := eval[int64](b, "document.documentElement.scrollWidth"); wide > l.width {
		t.Errorf("%s, %s: the page is %d pixels wide", name, l, wide)
	}
	if language := eval[string](b, "document.documentElement.lang"); language != l.language {
		t.Errorf("%s, %s: the page is in %s", name, l, language)
	}
	picture, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	must(t, err)
	must(t, os.WriteFile(filepath.Join(screenshots, fmt.Sprintf("%s-%s.png", name, l)), picture, 0o644))
}
