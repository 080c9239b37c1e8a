package e2econsole_test

import (
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// TestStalePage checks that a page says when the mirror does not answer, and since when.
func TestStalePage(t *testing.T) {
	m := startMirror(t, "--offline")
	b := startBrowser(t)
	b.login(m)
	b.open(m, "")
	b.holds(`document.getElementById("stale").hidden`)
	m.stop()
	b.holds(`!document.getElementById("stale").hidden`)
	b.shows("The mirror does not answer.")
}

// TestManyTabs leaves 20 tabs open, for the time in TAB_TIME or a few seconds. Clients of the registry are served all the
// time, and the mirror has as many goroutines after the tabs were closed as before.
func TestManyTabs(t *testing.T) {
	open := 15 * time.Second
	if text := os.Getenv("TAB_TIME"); text != "" {
		var err error
		open, err = time.ParseDuration(text)
		must(t, err)
	}
	m := startMirror(t, "--offline")
	m.fill()
	b := startBrowser(t)
	b.login(m)
	before := m.goroutines()
	var tabs []*browser
	for i := range 20 {
		tab := newTab(t, b.ctx)
		tab.open(m, []string{"", "images", "system"}[i%3])
		tabs = append(tabs, tab)
	}
	most, requests := 0, 0
	for end := time.Now().Add(open); time.Now().Before(end); requests++ {
		if status, _, _ := m.request(http.MethodGet, "/v2/library/alpine/manifests/1.0", "", nil); status != http.StatusOK {
			t.Fatalf("a pull is answered with %d", status)
		}
		most = max(most, m.goroutines())
	}
	t.Logf("%d requests of a client were served; %d goroutines without tabs, at most %d with them", requests, before, most)
	for _, tab := range tabs {
		must(t, chromedp.Cancel(tab.ctx))
	}
	b.run(chromedp.Navigate("about:blank"))
	eventually(t, "the goroutines of the tabs end", func() error {
		if now := m.goroutines(); now > before+5 {
			return fmt.Errorf("%d instead of %d", now, before)
		}
		return nil
	})
	if most > before+200 {
		t.Error("the tabs keep many goroutines")
	}
}

var goroutines = regexp.MustCompile(`(?m)^go_goroutines (\d+)`)

// goroutines returns the number of goroutines of the mirror.
func (m *mirror) goroutines() int {
	m.t.Helper()
	_, _, body := m.request(http.MethodGet, "/metrics", "", nil)
	found := goroutines.FindSubmatch(body)
	if found == nil {
		m.t.Fatalf("no goroutines in %s", body)
	}
	n, err := strconv.Atoi(string(found[1]))
	must(m.t, err)
	return n
}
