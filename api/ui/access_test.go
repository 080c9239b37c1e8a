package ui_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"airmirror/api/registry"
)

// TestAdministratorsCreateTokens creates a token on the page, and revokes it.
func TestAdministratorsCreateTokens(t *testing.T) {
	c := open(t)
	created := c.post("access", url.Values{"action": {"token"}, "name": {"ci"}, "right": {"pull", "push"}, "repositories": {"team/** library/*"}, "days": {"90"}})
	secret := regexp.MustCompile(`mirror_[A-Z2-7]{26}`).FindString(created.body)
	if created.StatusCode != http.StatusOK || secret == "" {
		t.Fatalf("%d: %s", created.StatusCode, created.body)
	}
	page := c.get("access").body
	for _, want := range []string{"ci", "team/**", "library/*", "push"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	if strings.Contains(page, secret) {
		t.Error("the secret is shown again")
	}
	if a := c.get("access?user=token:ci&do=push&repository=team/app").body; !strings.Contains(a, `<span class="state ok">allowed</span>`) {
		t.Errorf("ci may not push: %s", a)
	}
	if a := c.get("access?user=token:ci&do=push&repository=other/app").body; !strings.Contains(a, `<span class="state bad">not allowed</span>`) {
		t.Errorf("ci may push to another repository: %s", a)
	}
	c.post("access", url.Values{"action": {"revoke"}, "name": {"ci"}})
	if page := c.get("access").body; !strings.Contains(page, "There are no API tokens.") {
		t.Errorf("after the revocation: %s", page)
	}
}

// TestAdministratorsManageUsers adds users on the page, and removes one. Nobody removes themselves.
func TestAdministratorsManageUsers(t *testing.T) {
	c := open(t)
	if a := c.post("access", url.Values{"action": {"user"}, "name": {"ada"}, "password": {"sesame"}}); a.StatusCode != http.StatusSeeOther {
		t.Fatalf("%d: %s", a.StatusCode, a.body)
	}
	if page := c.get("access").body; !strings.Contains(page, "<li>ada</li>") {
		t.Errorf("the page lacks the user: %s", page)
	}
	c.post("access", url.Values{"action": {"user"}, "name": {"bob"}, "password": {"sesame"}})
	c.get("access").shows(t, http.StatusOK, `aria-label="Remove the user bob"`)
	c.post("access", url.Values{"action": {"remove"}, "name": {"bob"}}).shows(t, http.StatusSeeOther)
	if page := c.get("access").body; strings.Contains(page, "<li>bob") || strings.Contains(page, "Remove the user ada") {
		t.Errorf("after the removal: %s", page)
	}
	c.post("access", url.Values{"action": {"remove"}, "name": {"bob"}}).shows(t, http.StatusNotFound, "there is no user bob")
	c.post("access", url.Values{"action": {"remove"}, "name": {"ada"}}).shows(t, http.StatusForbidden, "ada cannot remove themselves")
	c.get("access").shows(t, http.StatusOK, "<li>ada</li>")
	if a := c.post("access", url.Values{"action": {"user"}, "name": {"a:b"}, "password": {"sesame"}}); a.StatusCode != http.StatusBadRequest {
		t.Errorf("an invalid name: %d", a.StatusCode)
	}
}

// TestOthersDoNotSeeAccess checks that the page needs the right to administer the mirror.
func TestOthersDoNotSeeAccess(t *testing.T) {
	c := open(t)
	c.access.Rights = rights{registry.Pull}
	if a := c.get("access"); a.StatusCode != http.StatusForbidden {
		t.Errorf("%d: %s", a.StatusCode, a.body)
	}
	if a := c.post("access", url.Values{"action": {"token"}, "name": {"ci"}, "right": {"admin"}, "repositories": {"**"}}); a.StatusCode != http.StatusForbidden {
		t.Errorf("%d: %s", a.StatusCode, a.body)
	}
}
