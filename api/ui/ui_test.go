package ui_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"airmirror/api/admin"
	"airmirror/api/registry"
	"airmirror/api/ui"
)

// TestBrowserIsSentToConsole checks that / leads a browser to the console by a relative address, which is right below any
// path of a proxy, and that clients of the registry get the registry.
func TestBrowserIsSentToConsole(t *testing.T) {
	c := open(t)
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		browser := httptest.NewRequest(method, "/", nil)
		browser.Header.Set("Accept", "text/html,*/*")
		if a := c.do(browser); a.StatusCode != http.StatusSeeOther || a.Header.Get("Location") != "console/" {
			t.Errorf("for %s, a browser gets %d with the location %q", method, a.StatusCode, a.Header.Get("Location"))
		}
	}
	if a := c.do(httptest.NewRequest(http.MethodGet, "/console", nil)); a.Header.Get("Location") != "console/" {
		t.Errorf("/console leads to %q", a.Header.Get("Location"))
	}
	for _, path := range []string{"/", "/v2/", "/consoles"} {
		if a := c.do(httptest.NewRequest(http.MethodGet, path, nil)); a.body != "registry" {
			t.Errorf("%s is served by the console", path)
		}
	}
}

// TestHeaders checks what protects pages and files of the console in a browser.
func TestHeaders(t *testing.T) {
	c := open(t)
	page := c.get("")
	style := regexp.MustCompile(`href="(assets/[0-9a-f]{16}/console\.css)"`).FindStringSubmatch(page.body)
	if style == nil {
		t.Fatal("the page has no style sheet")
	}
	for name, a := range map[string]answer{"page": page, "file": c.get(style[1]), "error": c.get("nothing")} {
		for header, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin"} {
			if got := a.Header.Get(header); got != want {
				t.Errorf("%s: %s is %q", name, header, got)
			}
		}
		policy := a.Header.Get("Content-Security-Policy")
		if !strings.HasPrefix(policy, "default-src 'none'") || !strings.Contains(policy, "frame-ancestors 'none'") || strings.Contains(policy, "unsafe") {
			t.Errorf("%s: the policy is %q", name, policy)
		}
	}
	if got := page.Header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("a page is cached: %q", got)
	}
	file := c.get(style[1])
	if got := file.Header.Get("Cache-Control"); !strings.Contains(got, "immutable") {
		t.Errorf("a file is not cached for long: %q", got)
	}
	if old := c.get("assets/0000000000000000/console.css"); old.StatusCode != http.StatusNotFound {
		t.Errorf("a file of another version is served with %d", old.StatusCode)
	}
}

// TestPagesNeedNothingElse checks that pages have only relative addresses, and no styles and scripts of their own, which the policy
// forbids.
func TestPagesNeedNothingElse(t *testing.T) {
	c := open(t)
	c.push("library/alpine", "3", true)
	for _, name := range []string{"", "images", "login", "nothing"} {
		body := c.get(name).body
		for _, address := range regexp.MustCompile(`(?:href|src|action)="([^"]*)"`).FindAllStringSubmatch(body, -1) {
			if strings.HasPrefix(address[1], "/") || strings.Contains(address[1], "://") {
				t.Errorf("page %q has the address %s", name, address[1])
			}
		}
		if found := regexp.MustCompile(`<style|style="| on[a-z]+="|<script>`).FindString(body); found != "" {
			t.Errorf("page %q contains %s", name, found)
		}
	}
}

// TestLanguage checks that a page has the language that the browser prefers, or the chosen one.
func TestLanguage(t *testing.T) {
	c := open(t)
	for accept, want := range map[string]string{
		"": "en", "zh-CN,zh;q=0.9,en;q=0.8": "zh", "fr, en;q=0.7, zh;q=0.9": "zh", "de": "en", "zh;q=0": "en",
	} {
		c.get("", "Accept-Language", accept).shows(t, http.StatusOK, `<html lang="`+want+`"`)
	}
	c.get("", "Accept-Language", "en", "Cookie", "console-language=zh").shows(t, http.StatusOK, "<h1>概览</h1>")
}

// TestPreferences checks the switches of the language and the theme, which need no JavaScript, and where they lead.
func TestPreferences(t *testing.T) {
	c := open(t)
	a := c.post("preferences", url.Values{"action": {"set"}, "language": {"zh"}, "theme": {"dark"}, "back": {"images?q=a"}})
	if a.Header.Get("Location") != "images?q=a" || len(a.Cookies()) != 2 {
		t.Errorf("the answer leads to %q with %v", a.Header.Get("Location"), a.Cookies())
	}
	for _, cookie := range a.Cookies() {
		if cookie.Path != "" || !cookie.HttpOnly || cookie.SameSite != http.SameSiteLaxMode {
			t.Errorf("the cookie is %v", cookie)
		}
	}
	c.get("", "Cookie", "console-theme=dark").shows(t, http.StatusOK, `data-theme="dark"`)
	for _, back := range []string{"//evil.example", "https://evil.example", `\\evil.example`, "/v2/", "javascript:alert(1)"} {
		if to := c.post("preferences", url.Values{"action": {"set"}, "back": {back}}).Header.Get("Location"); to != "." {
			t.Errorf("%s leads to %q", back, to)
		}
	}
}

// TestOtherSiteCannotPost checks that a form on a page of another site changes nothing.
func TestOtherSiteCannotPost(t *testing.T) {
	c := open(t)
	c.push("library/alpine", "3", true)
	for header, value := range map[string]string{"Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site"} {
		form := url.Values{"action": {"delete"}, "confirm": {"1"}, "ref": {"docker.io/library/alpine:3"}}
		r := httptest.NewRequest(http.MethodPost, ui.Path+"images", strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set(header, value)
		c.do(r).shows(t, http.StatusForbidden, "DENIED")
	}
	c.get("images").shows(t, http.StatusOK, "library/alpine:3")
}

// TestLogin checks the form, a wrong password, and that the user returns to the page that needs a login.
func TestLogin(t *testing.T) {
	c := open(t)
	c.access = admin.Access{CanLogIn: true, Rights: rights{registry.Pull}}
	c.get("login?back=images").shows(t, http.StatusOK, `name="password"`, `name="back" value="images"`)
	c.post("login", url.Values{"action": {"login"}, "name": {"ada"}, "password": {"wrong"}, "back": {"images"}}).
		shows(t, http.StatusOK, "wrong name or password", `value="ada"`, `name="back" value="images"`)
	a := c.post("login", url.Values{"action": {"login"}, "name": {"ada"}, "password": {"correct"}, "back": {"images"}})
	if a.Header.Get("Location") != "images" || c.access.User != "ada" {
		t.Errorf("the login leads to %q as %q", a.Header.Get("Location"), c.access.User)
	}
	c.get("").shows(t, http.StatusOK, "ada", "Log out")
	c.post("login", url.Values{"action": {"logout"}})
	if c.access.User != "" {
		t.Error("the user is still logged in")
	}
}

// TestLoginByLink checks that opening a one-time link shows a form, so that loading the address in advance does not use
// it up, and that the form begins a session.
func TestLoginByLink(t *testing.T) {
	c := open(t)
	c.access = admin.Access{Rights: rights{registry.Pull}}
	c.get("login?link=correct").shows(t, http.StatusOK, `name="link" value="correct"`)
	if c.access.User != "" {
		t.Error("opening the link has used it")
	}
	c.post("login", url.Values{"action": {"login"}, "link": {"wrong"}}).shows(t, http.StatusOK, "UNAUTHORIZED")
	c.post("login", url.Values{"action": {"login"}, "link": {"correct"}})
	if c.access.User != "link" {
		t.Error("the link begins no session")
	}
}

// TestMissingRight checks what clients see that may not see a page: a form to log in, or which right is missing.
func TestMissingRight(t *testing.T) {
	c := open(t)
	c.push("library/alpine", "3", true)
	c.access = admin.Access{CanLogIn: true, Rights: rights{registry.Pull}}
	if a := c.get("system"); a.StatusCode != http.StatusSeeOther || a.Header.Get("Location") != "login?back=system" {
		t.Errorf("an anonymous client gets %d with the location %q", a.StatusCode, a.Header.Get("Location"))
	}
	c.get("").shows(t, http.StatusOK, "1<small> / 1</small>", "Log in")
	c.access = admin.Access{User: "bob", Rights: rights{registry.Pull}}
	c.get("system").shows(t, http.StatusForbidden, "DENIED", "bob may not administer this mirror", "Missing right: <strong>administer (admin)</strong>")
	c.access = admin.Access{User: "eve", Rights: rights{}}
	c.get("images").shows(t, http.StatusForbidden, "eve may not pull")
}

// TestErrorPage checks that an error has a code, a sentence and a next step, in the language of the client.
func TestErrorPage(t *testing.T) {
	c := open(t)
	c.get("nothing").shows(t, http.StatusNotFound, "NAME_UNKNOWN", "There is nothing with this name.", "Check the address")
	c.get("nothing", "Accept-Language", "zh").shows(t, http.StatusNotFound, "NAME_UNKNOWN", "没有此名称的内容。")
	c.post("images", url.Values{"action": {"explode"}}).shows(t, http.StatusMethodNotAllowed, "UNSUPPORTED")
}

// TestSystem checks that the page shows the state, and switches the mode and read-only.
func TestSystem(t *testing.T) {
	c := open(t)
	c.get("system").shows(t, http.StatusOK, "v1", `value="offline" checked`, "offline: true # --offline", "The mirror stores what clients push and pull.")
	a := c.post("system", url.Values{"action": {"mode"}, "mode": {"auto"}})
	c.get(a.Header.Get("Location")).shows(t, http.StatusOK, "The mode was set.", `value="auto" checked`)
	a = c.post("system", url.Values{"action": {"read-only"}, "on": {"1"}})
	c.get(a.Header.Get("Location")).shows(t, http.StatusOK, "The mirror is read-only now.", "it stores nothing new")
	c.post("system", url.Values{"action": {"read-only"}, "on": {"0"}})
	if c.mirror.ReadOnly() || c.mirror.Mode() != "auto" {
		t.Errorf("the mirror is read-only: %t, mode %s", c.mirror.ReadOnly(), c.mirror.Mode())
	}
	a = c.post("system", url.Values{"action": {"verify"}, "fast": {"1"}})
	c.get(a.Header.Get("Location")).shows(t, http.StatusOK, "The verification was started.", `class="muted mono"`, "verification")
	c.post("system", url.Values{"action": {"cancel"}, "job": {"nothing"}}).shows(t, http.StatusNotFound, "nothing")
	c.post("system", url.Values{"action": {"mode"}, "mode": {"sideways"}}).shows(t, http.StatusMethodNotAllowed, "sideways")
}
