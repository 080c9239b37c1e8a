package ui_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"airmirror/api/admin"
	"airmirror/api/registry"
	"airmirror/mirror"
)

// TestLatestChanges checks that the page of the system says who changed what, and from where, and what failed.
func TestLatestChanges(t *testing.T) {
	c := open(t)
	c.get("system").shows(t, http.StatusOK, "Nothing has been changed.")
	c.changes = []admin.LoggedChange{
		{Number: 4, Time: time.Now(), Action: "delete", Address: "192.0.2.9", Repo: "docker.io/team/app", Digest: "sha256:4f53a6b0c1d2e3", Result: mirror.CodeDenied, Error: "rules do not allow it"},
		{Number: 3, Time: time.Now(), Action: "collect", Result: "OK", Detail: json.RawMessage("{}")},
		{Number: 2, Time: time.Now(), Action: "mode", User: "ada", Address: "local", Detail: json.RawMessage(`{"mode":"offline"}`), Result: "OK"},
		{Number: 1, Time: time.Now(), Action: "push", User: "robot", Address: "192.0.2.7", Repo: "docker.io/team/app", Tags: []string{"1", "2"}, Result: "OK"},
	}
	page := c.get("system")
	page.shows(t, http.StatusOK,
		"<td>anonymous <span class=\"muted\">192.0.2.9</span></td>", "<td>deletion</td>", "docker.io/team/app@4f53a6b0c1d2", "rules do not allow it",
		"<td>collection</td>", "<td>mode</td>", "{&#34;mode&#34;:&#34;offline&#34;}",
		"<td>robot <span class=\"muted\">192.0.2.7</span></td>", "<td>push</td>", "docker.io/team/app:1, 2",
	)

	c.access = admin.Access{User: "guest", Rights: rights{registry.Pull}}
	if page = c.get("system"); page.StatusCode != http.StatusForbidden || strings.Contains(page.body, "robot") {
		t.Errorf("a user who may only pull gets the status %d and sees the changes", page.StatusCode)
	}
}
