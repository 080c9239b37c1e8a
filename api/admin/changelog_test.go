package admin_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"airmirror/api/admin"
)

// keptChanges are the changes of a mirror, the latest first.
type keptChanges []admin.LoggedChange

func (k keptChanges) Changes() []admin.LoggedChange { return k }

// someChanges are numbered from 6 down to 1, a minute apart.
func someChanges() (all keptChanges) {
	for i, c := range []admin.LoggedChange{
		{Action: "mode", User: "admin", Address: "192.0.2.1"},
		{Action: "push", User: "puller", Address: "192.0.2.2", Repo: "docker.io/team/app", Tags: []string{"2"}},
		{Action: "push", User: "admin", Address: "192.0.2.1", Request: "r1", Repo: "docker.io/secret/app", Tags: []string{"1"}},
		{Action: "delete", User: "admin", Address: "192.0.2.1", Request: "r1", Repo: "docker.io/library/open", Tags: []string{"1"}, From: "docker.io/secret/app"},
		{Action: "push", User: "admin", Address: "192.0.2.1", Request: "r1", Repo: "docker.io/team/app", Tags: []string{"1"}},
		{Action: "collect"},
	} {
		c.Number, c.Result = int64(6-i), "OK"
		c.Time = time.Date(2026, 1, 31, 12, int(c.Number), 0, 0, time.UTC)
		all = append(all, c)
	}
	return all
}

// numbers returns the numbers of changes.
func numbers(changes []admin.LoggedChange) string {
	var all []string
	for _, c := range changes {
		all = append(all, fmt.Sprint(c.Number))
	}
	return strings.Join(all, " ")
}

func TestChangesAreSelected(t *testing.T) {
	eachTransport(t, admin.Options{Changes: someChanges()}, func(t *testing.T, m testMirror) {
		for _, tt := range []struct {
			query admin.ChangeQuery
			want  string
			next  int64
		}{
			{admin.ChangeQuery{}, "6 5 4 3 2 1", 0},
			{admin.ChangeQuery{Limit: 2}, "6 5", 5},
			{admin.ChangeQuery{Limit: 2, Before: 5}, "4 3", 3},
			{admin.ChangeQuery{Limit: 2, Before: 3}, "2 1", 0},
			{admin.ChangeQuery{After: 4}, "6 5", 0},
			{admin.ChangeQuery{After: 6}, "", 0},
			{admin.ChangeQuery{Actions: []string{"push"}}, "5 4 2", 0},
			{admin.ChangeQuery{Actions: []string{"mode", "collect"}, Limit: 1}, "6", 6},
			{admin.ChangeQuery{User: "puller"}, "5", 0},
			{admin.ChangeQuery{Match: []string{"team/*"}}, "5 2", 0},
			{admin.ChangeQuery{Match: []string{"open", "secret"}}, "4 3", 0},
			{admin.ChangeQuery{Since: time.Date(2026, 1, 31, 12, 5, 0, 0, time.UTC)}, "6 5", 0},
		} {
			page, err := m.Changes(t.Context(), tt.query)
			must(t, err)
			if got := numbers(page.Changes); got != tt.want || page.Next != tt.next {
				t.Errorf("%+v selects %s, and %d follows; want %s and %d", tt.query, got, page.Next, tt.want, tt.next)
			}
		}
		for _, q := range []admin.ChangeQuery{{Match: []string{"["}}} {
			if _, err := m.Changes(t.Context(), q); err == nil {
				t.Errorf("%+v is accepted", q)
			}
		}
	})
}

func TestChangesShowWhatTheSenderMaySee(t *testing.T) {
	m, _ := open(t)
	handler := newGuard(t, nil, rules, "puller", "admin").API(admin.New(m, admin.Options{Changes: someChanges()}))
	for _, tt := range []struct {
		name   string
		sender sender
		want   string
	}{
		{"anonymous", anonymous, "3"},
		{"puller", user("puller"), "5 3 2"},
		{"admin", user("admin"), "6 5 4 3 2 1"},
	} {
		for _, query := range []string{"", "?limit=x", "?before=-1", "?since=now", "?limit=0"} {
			r := httptest.NewRequest(http.MethodGet, "/api/v1/changes"+query, nil)
			tt.sender(r)
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			if query != "" {
				if w.Code != http.StatusBadRequest && w.Code != http.StatusMethodNotAllowed {
					t.Errorf("%s: %d", query, w.Code)
				}
				continue
			}
			var page admin.ChangePage
			must(t, json.Unmarshal(w.Body.Bytes(), &page))
			if got := numbers(page.Changes); got != tt.want {
				t.Errorf("%s sees %s, want %s", tt.name, got, tt.want)
			}
			for _, c := range page.Changes {
				known := c.User != "" || c.Address != "" || c.Request != "" || c.From != ""
				if own := c.User == "puller" && tt.name == "puller"; known && !own && tt.name != "admin" {
					t.Errorf("%s sees who made the change %+v", tt.name, c)
				}
			}
		}
	}
}
