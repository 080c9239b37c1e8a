package e2econsole_test

import (
	"bytes"
	"fmt"
	"html"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// TestUsersSeeWhatTheyMay looks at pages as nobody, and as a user who may pull from some repositories.
func TestUsersSeeWhatTheyMay(t *testing.T) {
	config := filepath.Join(t.TempDir(), "mirror.yaml")
	must(t, os.WriteFile(config, []byte(`auth:
  rules:
    - {users: [ada], repositories: ["**"], actions: [admin]}
    - {users: [bob], repositories: ["team/**"], actions: [pull]}
    - {users: [anonymous], repositories: ["public/*"], actions: [pull]}
`), 0o600))
	m := startMirror(t, "--offline", "--config", config)
	m.addUser("bob")
	for _, repo := range []string{"team/app", "public/tool", "secret/plan"} {
		m.push(repo, "1", "amd64")
	}
	b := startBrowser(t)
	sees := func(who string, repos ...string) {
		t.Helper()
		for _, page := range []string{"", "images", "images?q=plan", "wants", "space", "image?ref=docker.io/secret/plan:1"} {
			b.open(m, page)
			if text := eval[string](b, "document.documentElement.innerHTML"); strings.Contains(text, "secret/plan:1</") || strings.Contains(text, "docker.io/secret/plan\"") {
				t.Errorf("page %q tells %s about secret/plan", page, who)
			}
		}
		b.open(m, "images")
		for _, repo := range []string{"team/app", "public/tool"} {
			shown := eval[bool](b, fmt.Sprintf("document.querySelector('main').innerText.includes(%q)", repo+":1"))
			if want := strings.Contains(strings.Join(repos, " "), repo); shown != want {
				t.Errorf("%s sees %s: %v", who, repo, shown)
			}
		}
		if eval[bool](b, `Boolean(document.querySelector('button[value="delete"]'))`) {
			t.Errorf("%s is offered to delete", who)
		}
	}
	sees("nobody", "public/tool")
	b.open(m, "system")
	b.waitFor("#password")

	b.run(chromedp.SendKeys(chromedp.CSS("#name"), "bob"), chromedp.SendKeys(chromedp.CSS("#password"), m.password))
	b.click("main form button")
	b.waitFor(".who")
	b.waitFor(".failure") // the page that bob wanted
	b.shows("Missing right: administer (admin)")
	sees("bob", "public/tool", "team/app")
	for _, page := range []string{"transfer", "access", "system"} {
		b.open(m, page)
		b.shows("Missing right: administer (admin)")
	}
}

// TestPageOfAnotherSite sends a form from a page of another address, in the browser of somebody who is logged in.
func TestPageOfAnotherSite(t *testing.T) {
	m := startMirror(t, "--offline")
	m.push("team/app", "1", "amd64")
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, `<form method="post" action="%s"><input name="action" value="delete"><input name="confirm" value="1"><input name="force" value="1">
			<input name="ref" value="docker.io/team/app:1"><button>win</button></form>`, html.EscapeString(m.url("images")))
	}))
	t.Cleanup(other.Close)
	b := startBrowser(t)
	b.login(m)
	b.run(chromedp.Navigate(other.URL))
	b.click("button")
	b.shows("a page of another site may not change anything on this mirror")
	if status := eval[int](b, `performance.getEntriesByType("navigation")[0].responseStatus`); status != http.StatusForbidden {
		t.Errorf("the answer has the status %d", status)
	}
	if listed := m.command("ls", "-q"); !strings.Contains(listed, "team/app:1") {
		t.Errorf("the form has deleted the image: %s", listed)
	}
}

// TestNameOfAnotherSite reaches a mirror without users on this machine under another name, as a page does whose name begins to
// lead to 127.0.0.1.
func TestNameOfAnotherSite(t *testing.T) {
	m := startMirrorWithoutUsers(t, "--offline")
	_, port, err := net.SplitHostPort(m.address)
	must(t, err)
	b := startBrowser(t, chromedp.Flag("host-resolver-rules", "MAP evil.example 127.0.0.1"))
	for _, page := range []string{"system", "transfer", "access"} {
		b.run(chromedp.Navigate("http://evil.example:"+port+"/console/"+page), chromedp.WaitReady(chromedp.CSS("main")))
		b.waitFor(".failure")
	}
	for _, host := range []string{"evil.example", m.address} {
		req, err := http.NewRequest(http.MethodGet, "http://"+m.address+"/api/v1/status", bytes.NewReader(nil))
		must(t, err)
		req.Host = host
		resp, err := http.DefaultClient.Do(req)
		must(t, err)
		resp.Body.Close()
		if allowed := resp.StatusCode == http.StatusOK; allowed != (host == m.address) {
			t.Errorf("as %s, the state of the mirror is answered with %d", host, resp.StatusCode)
		}
	}
}
