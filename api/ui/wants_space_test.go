package ui_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"airmirror/api/admin"
	"airmirror/api/registry"
	"airmirror/gc"
	"airmirror/mirror"
)

// miss requests an image that is not stored.
func (c *console) miss(path, tag string) string {
	c.t.Helper()
	ref := mirror.Ref{Repo: mirror.Repo{Host: mirror.DockerHub, Path: path}, Tag: tag}
	if _, err := c.mirror.Manifest(c.t.Context(), ref); mirror.CodeOf(err) != mirror.CodeManifestUnknown {
		c.t.Fatalf("%s: %v", ref, err)
	}
	return ref.String()
}

// waitForJobs returns when the jobs that were started have ended.
func (c *console) waitForJobs() {
	c.t.Helper()
	jobs, err := c.client().Jobs(c.t.Context())
	c.must(err)
	for _, job := range jobs {
		_ = c.client().WatchJob(c.t.Context(), job.ID, 0, func(admin.Event) error { return nil }) // whether it succeeded or not
	}
}

func TestWantsPage(t *testing.T) {
	c := open(t)
	c.get("wants").shows(t, http.StatusOK, "Nothing is wanted")
	first, second := c.miss("library/app", "1"), c.miss("library/app", "2")
	page := c.get("wants")
	page.shows(t, http.StatusOK, first, second, "2 wants", "The mirror is offline", `data-live="1500"`)

	saved := c.get("wants.json")
	var wants []mirror.Want
	c.must(json.Unmarshal([]byte(saved.body), &wants))
	if len(wants) != 2 || !strings.HasPrefix(saved.Header.Get("Content-Disposition"), `attachment; filename="wants-`) {
		t.Errorf("saved %+v with %v", wants, saved.Header)
	}

	c.post("wants", url.Values{"action": {"dismiss"}, "ref": {first}}).shows(t, http.StatusSeeOther)
	c.get("wants?done=dismiss&n=1").shows(t, http.StatusOK, "1 want was dismissed", second)
	if left := c.mirror.Wants(); len(left) != 1 || left[0].Ref != second {
		t.Errorf("wants %+v are left", left)
	}
	c.push("library/app", "2", true)
	c.mirror.ResolveWants(t.Context())
	c.get("wants").shows(t, http.StatusOK, "Nothing is wanted")
}

// TestWantsAreFetchedByAJob checks that the job goes on without the browser, and is for administrators only.
func TestWantsAreFetchedByAJob(t *testing.T) {
	c := open(t)
	ref := c.miss("library/app", "1")
	form := url.Values{"action": {"fetch"}, "ref": {ref}}
	c.post("wants", form).shows(t, http.StatusSeeOther)
	jobs, err := c.client().Jobs(t.Context())
	if c.must(err); len(jobs) != 1 || jobs[0].Name != "sync" || jobs[0].User != "ada" {
		t.Errorf("jobs %+v", jobs)
	}
	c.waitForJobs()
	c.access.Rights = rights{registry.Pull}
	c.post("wants", form).shows(t, http.StatusForbidden)
	c.get("wants").shows(t, http.StatusOK, ref)
}

func TestSpacePage(t *testing.T) {
	c := open(t)
	c.push("library/app", "1", true)
	c.push("team/other", "1", true)
	for _, unused := range []string{"unused", "unused as well"} {
		upload, err := c.store.StartUpload(t.Context(), mirror.Repo{Host: mirror.DockerHub, Path: "team/other"}, digest.SHA256)
		c.must(err)
		_, err = upload.Append(strings.NewReader(unused))
		c.must(err)
		c.must(upload.Commit(t.Context(), digest.FromString(unused)))
	}
	c.get("space").shows(t, http.StatusOK, "library/app", "team/other", "Show the plan")
	plan := c.post("space", url.Values{"action": {"plan"}})
	plan.shows(t, http.StatusOK, "Collect now", "no manifest uses it", "would delete 2 items and free 20 B")

	// The page has what gc --dry-run has.
	var reasons, names []string
	c.must(c.client().Job(t.Context(), "collect", admin.CollectRequest{DryRun: true}, nil, func(e admin.Event) error {
		var item struct{ Name, Reason, Digest string }
		if e.Kind != admin.KindCandidate {
			return nil
		}
		err := e.Decode(&item)
		names, reasons = append(names, item.Name), append(reasons, item.Reason)
		return err
	}))
	if len(names) == 0 || strings.Count(plan.body, "<td class=\"name\">") != len(names)+2 { // and two repositories
		t.Errorf("the page does not have the %d candidates %v", len(names), names)
	}
	for _, reason := range slices.Compact(reasons) {
		plan.shows(t, http.StatusOK, reason)
	}
	c.post("space", url.Values{"action": {"collect"}}).shows(t, http.StatusSeeOther)
	c.waitForJobs()

	c.access.Rights = rights{registry.Pull}
	if body := c.get("space").body; strings.Contains(body, "Show the plan") {
		t.Error("a user without rights is offered a collection")
	}
	c.post("space", url.Values{"action": {"plan"}}).shows(t, http.StatusForbidden)
	c.post("space", url.Values{"action": {"collect"}}).shows(t, http.StatusForbidden)
}

func TestSpaceTrend(t *testing.T) {
	c := open(t)
	c.samples = []gc.Sample{
		{Day: "2026-01-01", Stored: 1 << 20, Origins: map[mirror.Origin]int64{mirror.Pushed: 1 << 20}},
		{Day: "2026-01-02", Stored: 4 << 20, Origins: map[mirror.Origin]int64{mirror.Pushed: 3 << 20, "": 1 << 20}},
	}
	c.get("").shows(t, http.StatusOK, `points="0.0,44.5 400.0,1.0"`)
	c.get("space").shows(t, http.StatusOK, `points="0.0,44.5 400.0,1.0"`, "Stored from 2026-01-01 to 2026-01-02: between 1.0 MiB and 4.0 MiB", "3.0 MiB", "of no repository")
	c.samples = c.samples[:1]
	if body := c.get("").body; strings.Contains(body, `<a href="space"></a>`) {
		t.Error("the overview links to the trend of a single day with a link that has no text")
	}
	c.get("space").shows(t, http.StatusOK, "from the second day on")
	c.access.Rights = rights{registry.Pull}
	if body := c.get("space").body; strings.Contains(body, "second day") {
		t.Error("a user without rights sees the trend")
	}
}

func TestClientsPage(t *testing.T) {
	c := open(t)
	c.get("clients").shows(t, http.StatusOK, "docker", "http://example.com", `data-copy="file-0"`, "mirror client docker --check --host http://example.com")
	c.get("clients?kind=podman", "X-Forwarded-Proto", "https").shows(t, http.StatusOK, "podman for https://example.com", "--host https://example.com")
	c.get("clients?kind=%22%3E").shows(t, http.StatusOK, "docker for http://example.com")
}
