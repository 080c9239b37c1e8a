//go:build e2e

package e2e_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"airmirror/cmd/mirror/testport"

	"github.com/opencontainers/go-digest"
)

// evilSite is another site, whose pages act in a browser and tell what ran.
type evilSite struct {
	*httptest.Server
	mu    sync.Mutex
	pages map[string]string
	ran   map[string]bool
}

func startEvilSite(t *testing.T) *evilSite {
	t.Helper()
	s := &evilSite{pages: map[string]string{}, ran: map[string]bool{}}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if what, ok := strings.CutPrefix(r.URL.Path, "/ran/"); ok {
			s.ran[what] = true
		}
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, s.pages[r.URL.Path])
	}))
	t.Cleanup(s.Close)
	return s
}

// page is HTML that tells the site that it ran.
func (s *evilSite) page(what string) string {
	return fmt.Sprintf(`<!doctype html><html><body><script>fetch("%s/ran/%s", {mode: "no-cors"})</script></body></html>`, s.URL, what)
}

// has reports whether something ran.
func (s *evilSite) has(what string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ran[what]
}

// browse opens a page in Chromium, until nothing happens on it any more.
func browse(t *testing.T, url string) {
	t.Helper()
	dir := tempDir(t)
	env := environment(t, "HTTP_PROXY=", "http_proxy=", "HTTPS_PROXY=", "https_proxy=")
	try(t, env, "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--user-data-dir="+filepath.Join(dir, "profile"),
		"--virtual-time-budget=3000", "--timeout=20000", "--dump-dom", url)
}

// post pushes a blob in one request, and returns the status.
func post(t *testing.T, addr, path, contentType, body string) int {
	t.Helper()
	resp, err := http.Post("http://"+addr+path, contentType, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

func pushBlob(t *testing.T, addr, body string) string {
	t.Helper()
	d := digest.FromString(body).String()
	if status := post(t, addr, "/v2/evil/x/blobs/uploads/?digest="+d, "application/octet-stream", body); status != http.StatusCreated {
		t.Fatalf("push of a blob: %d", status)
	}
	return d
}

// TestABrowserRunsNothingThatWasPushed: a page that was pushed as a blob, or inside of a manifest of some type, is no page of
// the mirror's. What a browser would run is no media type of a manifest.
func TestABrowserRunsNothingThatWasPushed(t *testing.T) {
	need(t, "chromium")
	site := startEvilSite(t)
	site.pages["/control"] = site.page("control")
	browse(t, site.URL+"/control")
	site.pages["/to/control"] = `<!doctype html><script>location = "/linked"</script>`
	site.pages["/linked"] = site.page("linked")
	browse(t, site.URL+"/to/control")
	if !site.has("control") || !site.has("linked") {
		t.Fatal("the browser runs nothing at all")
	}
	mirror := startMirrorWith(t, environment(t, "MIRROR_AUTH_ANONYMOUS_PUSH=true"), testport.Address(t), filepath.Join(tempDir(t), "data"), "--offline")
	blob := pushBlob(t, mirror.addr, site.page("blob"))
	put := func(mediaType, tag, body string) int {
		req, err := http.NewRequest(http.MethodPut, "http://"+mirror.addr+"/v2/evil/x/manifests/"+tag, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", mediaType)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	for _, mediaType := range []string{"text/html", "application/xhtml+xml", "image/svg+xml"} {
		if status := put(mediaType, "page", site.page("manifest")); status != http.StatusBadRequest {
			t.Errorf("a manifest of type %s: %d", mediaType, status)
		}
	}
	if status := put("application/vnd.page", "page", site.page("manifest")); status != http.StatusCreated {
		t.Errorf("a manifest of a type that nobody knows: %d", status)
	}
	for what, path := range map[string]string{"blob": "blobs/" + blob, "manifest": "manifests/page"} {
		site.pages["/to/"+what] = fmt.Sprintf(`<!doctype html><script>location = "http://%s/v2/evil/x/%s"</script>`, mirror.addr, path)
		browse(t, site.URL+"/to/"+what) // by a link: a download alone would never end
		if site.has(what) {
			t.Errorf("the %s ran as a page of the mirror", what)
		}
	}
}

// TestAPageOfAnotherSitePushesNothing, though everybody may push: whoever opens the page did not mean to.
func TestAPageOfAnotherSitePushesNothing(t *testing.T) {
	need(t, "chromium")
	mirror := startMirrorWith(t, environment(t, "MIRROR_AUTH_ANONYMOUS_PUSH=true"), testport.Address(t), filepath.Join(tempDir(t), "data"), "--offline")
	const body = "filled by a page"
	d := digest.FromString(body).String()
	site := startEvilSite(t)
	site.pages["/attack"] = fmt.Sprintf(`<!doctype html><script>
fetch("http://%s/v2/evil/x/blobs/uploads/?digest=%s", {method: "POST", mode: "no-cors", body: %q, headers: {"Content-Type": "text/plain"}})
	.finally(() => fetch("/ran/attack"))
</script>`, mirror.addr, d, body)
	browse(t, site.URL+"/attack")
	if !site.has("attack") {
		t.Fatal("the page did not run")
	}
	has := func() bool {
		resp, err := http.Head("http://" + mirror.addr + "/v2/evil/x/blobs/" + d)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	}
	if has() {
		t.Error("the page pushed a blob")
	}
	if pushBlob(t, mirror.addr, body); !has() {
		t.Error("nor can who means it")
	}
}
