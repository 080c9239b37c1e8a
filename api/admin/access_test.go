package admin_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/zap"
	"golang.org/x/crypto/bcrypt"

	"airmirror/api/admin"
	"airmirror/api/auth"
	"airmirror/api/middleware"
	"airmirror/api/registry"
	"airmirror/mirror"
)

// sender changes a request to one of a client.
type sender func(*http.Request)

func anonymous(*http.Request) {}

func user(name string) sender {
	return func(r *http.Request) { r.SetBasicAuth(name, "password of "+name) }
}

// loopback is a client on the machine of the mirror.
func loopback(r *http.Request) { r.RemoteAddr, r.Host = "127.0.0.1:4711", "localhost:5000" }

// with adds headers to the request of a sender. Host is one of them.
func (s sender) with(headers ...string) sender {
	return func(r *http.Request) {
		s(r)
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
			if headers[i] == "Host" {
				r.Host = headers[i+1]
			}
		}
	}
}

// rules let everybody pull library/open, puller pull team, deleter delete from team, and admin everything.
var rules = []auth.Rule{
	{Users: []string{auth.Anonymous}, Repositories: []string{"library/open"}, Actions: []registry.Action{registry.Pull}},
	{Users: []string{"puller", "deleter"}, Repositories: []string{"team/**"}, Actions: []registry.Action{registry.Pull}},
	{Users: []string{"deleter"}, Repositories: []string{"team/**"}, Actions: []registry.Action{registry.Delete}},
	{Users: []string{"admin"}, Repositories: []string{"**"}, Actions: []registry.Action{registry.Admin}},
}

// newGuard returns a guard with users. Their passwords are "password of" and their names.
func newGuard(t *testing.T, tokens *auth.Tokens, rules []auth.Rule, users ...string) *auth.Guard {
	t.Helper()
	path := filepath.Join(t.TempDir(), "htpasswd")
	var text strings.Builder
	for _, name := range users {
		hash, err := bcrypt.GenerateFromPassword([]byte("password of "+name), bcrypt.MinCost)
		must(t, err)
		text.WriteString(name + ":" + string(hash) + "\n")
	}
	must(t, os.WriteFile(path, []byte(text.String()), 0o600))
	guard, err := auth.New(auth.Options{Htpasswd: path, Rules: rules, Tokens: tokens})
	must(t, err)
	return guard
}

// accessOptions offer a job and a stream for each right.
func accessOptions() admin.Options {
	job := func(_ context.Context, _ json.RawMessage, _ io.Reader, report admin.Report) error {
		report.Summary("done")
		return nil
	}
	stream := func(_ context.Context, _ json.RawMessage, _ io.Reader, out io.Writer) error {
		_, err := io.WriteString(out, "content")
		return err
	}
	return admin.Options{
		Server: &admin.Server{}, Reload: func(context.Context) (admin.Reloaded, error) { return admin.Reloaded{}, nil },
		Jobs:  map[string]admin.Job{"collect": job, "migrate": job},
		Calls: map[string]admin.Job{"usage": job, "pins": job, "remove": job, "tag": job}, Streams: map[string]admin.Stream{"backup": stream},
	}
}

// TestEachRouteChecksTheRightOfItsSender sends each request of the API as each kind of client.
func TestEachRouteChecksTheRightOfItsSender(t *testing.T) {
	m, store := open(t)
	tokens, err := auth.OpenTokens(t.Context(), store, zap.NewNop())
	must(t, err)
	opts := accessOptions()
	opts.Tokens, opts.Access = tokens, newGuard(t, nil, rules)
	handler := admin.New(m, opts)
	token := func(name, repository string, right registry.Action) sender {
		created, err := tokens.CreateToken(t.Context(), admin.TokenRequest{Name: name, Actions: []registry.Action{right}, Repositories: []string{repository}}, "")
		must(t, err)
		return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+created.Secret) }
	}
	serve := func(guard *auth.Guard) http.Handler {
		return middleware.New(guard.API(handler), middleware.Options{}, middleware.Settings{})
	}
	users := serve(newGuard(t, tokens, rules, "puller", "deleter", "admin"))
	noUsers := serve(newGuard(t, nil, nil))
	local := sender(loopback)
	columns := []struct {
		name   string
		serve  http.Handler
		sender sender
	}{
		{"anonymous", users, anonymous},
		{"puller", users, user("puller")},
		{"deleter", users, user("deleter")},
		{"admin", users, user("admin")},
		{"token for delete", users, token("cleaner", "team/**", registry.Delete)},
		{"token for one repository", users, token("team", "team/**", registry.Admin)},
		{"token for everything", users, token("all", "**", registry.Admin)},
		{"loopback with users", users, local},
		{"loopback", noUsers, local},
		{"loopback, evil Host", noUsers, local.with("Host", "evil.example")},
		{"loopback, Origin", noUsers, local.with("Origin", "http://localhost:5000")},
		{"loopback, proxy", noUsers, local.with("X-Forwarded-For", "192.0.2.7")},
		{"another machine", noUsers, anonymous},
		{"admin, foreign page", users, user("admin").with("Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site")},
	}
	const (
		ok      = http.StatusOK
		login   = http.StatusUnauthorized
		denied  = http.StatusForbidden
		unknown = http.StatusMethodNotAllowed
		invalid = http.StatusBadRequest
		missing = http.StatusNotFound
	)
	// One status for each column. Browsers do not show a page the answer of another site.
	reads := []int{ok, ok, ok, ok, ok, ok, ok, ok, ok, ok, ok, ok, ok, ok}
	readsByPost := []int{ok, ok, ok, ok, ok, ok, ok, ok, ok, ok, ok, ok, ok, denied}
	deletes := []int{login, denied, ok, ok, ok, ok, ok, login, ok, denied, denied, denied, denied, denied}
	administers := []int{login, denied, denied, ok, denied, denied, ok, login, ok, denied, denied, denied, denied, denied}
	readsAsAdmin := []int{login, denied, denied, ok, denied, denied, ok, login, ok, denied, denied, denied, denied, ok}
	// The name of a token is taken after the first one.
	creates := []int{login, denied, denied, ok, denied, denied, invalid, login, invalid, denied, denied, denied, denied, denied}
	localOnly := []int{denied, denied, denied, denied, denied, denied, denied, denied, denied, denied, denied, denied, denied, denied}
	absent := func(statuses []int) []int { // the sender has the right
		statuses = slices.Clone(statuses)
		for i, status := range statuses {
			if status == ok {
				statuses[i] = http.StatusNotFound
			}
		}
		return statuses
	}
	table := []struct {
		pattern, path, body string
		want                []int
	}{
		{"GET /api/v1/status", "", "", readsAsAdmin},
		{"GET /api/v1/mode", "", "", reads},
		{"PUT /api/v1/mode", "", `{"mode":"offline"}`, administers},
		{"PUT /api/v1/read-only", "", `{}`, administers},
		{"POST /api/v1/reload", "", `{}`, localOnly},
		{"GET /api/v1/images", "", "", reads},
		{"GET /api/v1/images/page", "", "", reads},
		{"GET /api/v1/images/counts", "", "", reads},
		{"GET /api/v1/folders", "", "", reads},
		{"GET /api/v1/images/details", "/api/v1/images/details?image=docker.io/library/open:1", "", slices.Repeat([]int{missing}, len(reads))},
		{"GET /api/v1/storage/history", "", "", readsAsAdmin},
		{"GET /api/v1/transfers", "", "", reads},
		{"GET /api/v1/changes", "", "", reads},
		{"GET /api/v1/wants", "", "", reads},
		{"POST /api/v1/wants/forget", "", `{}`, administers},
		{"POST /api/v1/calls/{name}", "/api/v1/calls/usage", "null", readsByPost},
		{"POST /api/v1/calls/{name}", "/api/v1/calls/pins", "null", readsByPost},
		{"POST /api/v1/calls/{name}", "/api/v1/calls/remove", "null", deletes},
		{"POST /api/v1/calls/{name}", "/api/v1/calls/tag", "null", administers},
		{"POST /api/v1/jobs/{name}", "/api/v1/jobs/collect", "null", administers},
		{"POST /api/v1/jobs/{name}", "/api/v1/jobs/migrate", "null", localOnly},
		{"GET /api/v1/jobs", "", "", readsAsAdmin},
		{"GET /api/v1/jobs/{id}", "/api/v1/jobs/absent", "", absent(readsAsAdmin)},
		{"DELETE /api/v1/jobs/{id}", "/api/v1/jobs/absent", "", absent(administers)},
		{"GET /api/v1/jobs/{id}/events", "/api/v1/jobs/absent/events", "", absent(readsAsAdmin)},
		{"HEAD /api/v1/jobs/{id}/input", "/api/v1/jobs/absent/input", "", absent(readsAsAdmin)},
		{"PATCH /api/v1/jobs/{id}/input", "/api/v1/jobs/absent/input", "", absent(administers)},
		{"POST /api/v1/streams/{name}", "/api/v1/streams/backup", "null", administers},
		{"POST /api/v1/console-link", "", "{}", localOnly},
		{"PUT /api/v1/users/{name}", "/api/v1/users/new", `{"password":"sesame"}`, administers},
		{"DELETE /api/v1/users/{name}", "/api/v1/users/none", "", []int{login, denied, denied, missing, denied, denied, missing, login, missing, denied, denied, denied, denied, denied}},
		{"GET /api/v1/access", "", "", readsAsAdmin},
		{"GET /api/v1/access/check", "", "", readsAsAdmin},
		{"GET /api/v1/tokens", "", "", readsAsAdmin},
		{"POST /api/v1/tokens", "", `{"name":"ci","actions":["pull"],"repositories":["**"]}`, creates},
		{"DELETE /api/v1/tokens/{name}", "/api/v1/tokens/none", "", []int{login, denied, denied, missing, denied, denied, missing, login, missing, denied, denied, denied, denied, denied}},
		{"GET /api/v1/openapi.json", "", "", slices.Repeat([]int{ok}, len(columns))},
		{"/", "/api/v1/other", "", slices.Repeat([]int{unknown}, len(columns))},
		{"GET /debug/pprof/", "", "", localOnly},
		{"GET /debug/pprof/cmdline", "", "", localOnly},
		{"GET /debug/pprof/profile", "", "", localOnly},
		{"GET /debug/pprof/symbol", "", "", localOnly},
		{"GET /debug/pprof/trace", "", "", localOnly},
	}
	tested := map[string]bool{}
	for _, row := range table {
		tested[row.pattern] = true
		method, path, ok := strings.Cut(row.pattern, " ")
		if !ok {
			method = http.MethodGet
		}
		if row.path != "" {
			path = row.path
		}
		for i, column := range columns {
			r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(row.body))
			column.sender(r)
			w := httptest.NewRecorder()
			column.serve.ServeHTTP(duplex{w}, r)
			if w.Code != row.want[i] {
				t.Errorf("%s as %s: %d, want %d: %s", path, column.name, w.Code, row.want[i], w.Body)
			}
		}
	}
	for _, pattern := range admin.Patterns() {
		if !tested[pattern] {
			t.Errorf("%s is not in the table of this test", pattern)
		}
	}
}

// duplex is a recorder that a job can answer to while it reads its input.
type duplex struct{ *httptest.ResponseRecorder }

func (duplex) EnableFullDuplex() error { return nil }

func TestARequestWithoutAccessMayDoNothing(t *testing.T) {
	m, _ := open(t)
	handler := admin.New(m, accessOptions())
	for _, path := range []string{"/api/v1/images", "/api/v1/status", "/debug/pprof/"} {
		w := httptest.NewRecorder()
		if handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil)); w.Code != http.StatusForbidden {
			t.Errorf("%s: %d, want 403", path, w.Code)
		}
	}
}

func TestListsShowWhatTheSenderMayPull(t *testing.T) {
	m, store := open(t)
	site := testMirror{nil, m, store}
	for _, path := range []string{"library/open", "team/app", "secret/app"} {
		repo := mirror.Repo{Host: mirror.DockerHub, Path: path}
		site.addImage(t, repo, "1", true)
		site.miss(t, mirror.Ref{Repo: repo, Tag: "missing"})
	}
	handler := newGuard(t, nil, rules, "puller", "admin").API(admin.New(m, admin.Options{}))
	for _, tt := range []struct {
		name   string
		sender sender
		want   []string
	}{
		{"anonymous", anonymous, []string{"library/open"}},
		{"puller", user("puller"), []string{"library/open", "team/app"}},
		{"admin", user("admin"), []string{"library/open", "secret/app", "team/app"}},
	} {
		for _, path := range []string{"/api/v1/images", "/api/v1/images?match=secret&match=team&match=open", "/api/v1/images/page", "/api/v1/images/page?sort=used", "/api/v1/wants"} {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
			tt.sender(r)
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			var got []string
			for _, name := range []string{"library/open", "secret/app", "team/app"} {
				if strings.Contains(w.Body.String(), name) {
					got = append(got, name)
				}
			}
			if w.Code != http.StatusOK || !slices.Equal(got, tt.want) {
				t.Errorf("%s as %s: %d, %v, want %v", path, tt.name, w.Code, got, tt.want)
			}
		}
		for _, path := range []string{"library/open", "secret/app", "team/app"} {
			r, w := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/v1/images/details?image=docker.io/"+path+":1", nil), httptest.NewRecorder()
			tt.sender(r)
			handler.ServeHTTP(w, r)
			if shown := w.Code == http.StatusOK; shown != slices.Contains(tt.want, path) || !shown && strings.Contains(w.Body.String(), "sha256") {
				t.Errorf("details of %s as %s: %d, %s", path, tt.name, w.Code, w.Body)
			}
		}
		r, w := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/v1/images/counts", nil), httptest.NewRecorder()
		tt.sender(r)
		handler.ServeHTTP(w, r)
		var counts mirror.ImageCounts
		must(t, json.Unmarshal(w.Body.Bytes(), &counts))
		if counts.Images != len(tt.want) {
			t.Errorf("%s counts %+v, want %d images", tt.name, counts, len(tt.want))
		}
	}
}

// TestObserversKnowTheUser checks that the access log has the user of a request of the API, as of one of the registry.
func TestObserversKnowTheUser(t *testing.T) {
	m, _ := open(t)
	users := make(chan string, 1)
	handler := middleware.New(newGuard(t, nil, rules, "admin").API(admin.New(m, admin.Options{})), middleware.Options{
		Observers: []func(*middleware.Exchange){func(e *middleware.Exchange) { users <- e.User }},
	}, middleware.Settings{})
	for want, sender := range map[string]sender{"admin": user("admin"), "": anonymous} {
		r := httptest.NewRequest(http.MethodGet, "/api/v1/mode", nil)
		sender(r)
		handler.ServeHTTP(httptest.NewRecorder(), r)
		if got := <-users; got != want {
			t.Errorf("the user is %q, want %q", got, want)
		}
	}
}
