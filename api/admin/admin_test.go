package admin_test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"airmirror/api/admin"
	"airmirror/mirror"
)

var (
	alpine = mirror.Repo{Host: "docker.io", Path: "library/alpine"}
	hub    = mirror.Repo{Host: "docker.io", Path: "team/app"}
	other  = mirror.Repo{Host: "ghcr.io", Path: "org/app"}
)

func TestStatus(t *testing.T) {
	server := &admin.Server{PID: 7, Address: "[::]:5000", Started: time.Unix(1, 0).UTC()}
	eachTransport(t, admin.Options{Version: "v1", Data: "/srv/mirror", Server: server}, func(t *testing.T, m testMirror) {
		m.miss(t, mirror.Ref{Repo: alpine, Tag: "3"})
		got, err := m.Status(t.Context())
		must(t, err)
		if got.Version != "v1" || got.Data != "/srv/mirror" || *got.Server != *server || got.Mode != mirror.Offline || got.Wants != 1 {
			t.Errorf("status %+v", got)
		}
	})
}

func TestMode(t *testing.T) {
	eachTransport(t, admin.Options{}, func(t *testing.T, m testMirror) {
		got, err := m.SetMode(t.Context(), mirror.Online)
		must(t, err)
		if got != (admin.Mode{Mode: mirror.Online, Was: mirror.Offline}) || m.mirror.Mode() != mirror.Online {
			t.Errorf("switched to %+v, the mirror is %s", got, m.mirror.Mode())
		}
		got, err = m.Mode(t.Context())
		must(t, err)
		if got.Mode != mirror.Online {
			t.Errorf("mode %+v", got)
		}
		if _, err := m.SetMode(t.Context(), "loud"); mirror.CodeOf(err) != mirror.CodeUnsupported || !strings.Contains(err.Error(), "loud") {
			t.Errorf("invalid mode: %v", err)
		}
	})
}

func TestImages(t *testing.T) {
	eachTransport(t, admin.Options{}, func(t *testing.T, m testMirror) {
		m.addImage(t, alpine, "3.1", true)
		m.addImage(t, alpine, "3.2", false)
		m.addImage(t, hub, "latest", true)
		m.addImage(t, other, "v1", true)
		first, err := m.store.Tag(t.Context(), alpine, "3.1")
		must(t, err)
		for _, tt := range []struct {
			query admin.Query
			want  string
		}{
			{admin.Query{}, "library/alpine:3.1 library/alpine:3.2 team/app:latest ghcr.io/org/app:v1"},
			{admin.Query{Incomplete: true}, "library/alpine:3.2"},
			{admin.Query{Match: []string{"alpine"}}, "library/alpine:3.1 library/alpine:3.2"},
			{admin.Query{Match: []string{"docker.io/library/"}}, "library/alpine:3.1 library/alpine:3.2"},
			{admin.Query{Match: []string{"alpine:*.2"}}, "library/alpine:3.2"},
			{admin.Query{Match: []string{"alpine@" + first.Digest.String()[:20]}}, "library/alpine:3.1"},
			{admin.Query{Match: []string{"alpine@" + first.Digest.String()[:20], "alpine:3.2"}}, "library/alpine:3.1 library/alpine:3.2"},
			{admin.Query{Match: []string{"alpine:3.2", "docker.io/library/alpine:3.1", "alpine:3.2", "alpine:3.9"}}, "library/alpine:3.1 library/alpine:3.2"},
			{admin.Query{Match: []string{"alpine:3.2", "alpine:3.?"}}, "library/alpine:3.1 library/alpine:3.2"},
			{admin.Query{Match: []string{"alpine:3.2", "**:latest"}}, "library/alpine:3.2 team/app:latest"},
			{admin.Query{Match: []string{"alpine:9"}}, ""},
			{admin.Query{Match: []string{"*/app"}}, "team/app:latest"},
			{admin.Query{Match: []string{"**/app"}}, "team/app:latest ghcr.io/org/app:v1"},
			{admin.Query{Match: []string{"docker.io/**:*.2"}}, "library/alpine:3.2"},
			{admin.Query{Match: []string{"ghcr.io", "team/*:latest"}}, "team/app:latest ghcr.io/org/app:v1"},
			{admin.Query{Match: []string{"app"}}, ""},
			{admin.Query{Match: []string{"ghcr.io/org/app/deeper"}}, ""},
		} {
			var got []string
			for image, err := range m.Images(t.Context(), tt.query) {
				must(t, err)
				got = append(got, image.Name+":"+image.Tag)
			}
			if strings.Join(got, " ") != tt.want {
				t.Errorf("%+v lists %v, want %s", tt.query, got, tt.want)
			}
		}
		for _, err := range m.Images(t.Context(), admin.Query{Match: []string{"["}}) {
			if mirror.CodeOf(err) != mirror.CodeNameInvalid {
				t.Errorf("invalid pattern: %v", err)
			}
		}
		for range m.Images(t.Context(), admin.Query{}) {
			break // ends the request
		}
	})
}

// TestListingIsNotAUse checks that listing an image does not set its time of last use.
func TestListingIsNotAUse(t *testing.T) {
	eachTransport(t, admin.Options{}, func(t *testing.T, m testMirror) {
		m.addImage(t, alpine, "3.1", true)
		for range 2 {
			for image, err := range m.Images(t.Context(), admin.Query{}) {
				must(t, err)
				if !image.LastUsed.IsZero() {
					t.Errorf("listed as used at %s", image.LastUsed)
				}
			}
		}
		_, err := m.mirror.Manifest(t.Context(), mirror.Ref{Repo: alpine, Tag: "3.1"})
		must(t, err)
		for image, err := range m.Images(t.Context(), admin.Query{}) {
			must(t, err)
			if image.LastUsed.IsZero() {
				t.Error("a pulled image is listed as never used")
			}
		}
	})
}

func TestWants(t *testing.T) {
	eachTransport(t, admin.Options{}, func(t *testing.T, m testMirror) {
		for _, ref := range []mirror.Ref{{Repo: alpine, Tag: "3"}, {Repo: hub, Tag: "1"}, {Repo: hub, Tag: "2"}, {Repo: other, Tag: "1"}} {
			m.miss(t, ref)
		}
		left := func() (refs []string) {
			wants, err := m.Wants(t.Context())
			must(t, err)
			for _, want := range wants {
				refs = append(refs, want.Ref)
			}
			slices.Sort(refs)
			return refs
		}
		if _, err := m.ForgetWants(t.Context(), "alpine", "absent"); mirror.CodeOf(err) != mirror.CodeManifestUnknown || len(left()) != 4 {
			t.Errorf("with a pattern that matches nothing: %v, and %v are left", err, left())
		}
		n, err := m.ForgetWants(t.Context(), "alpine:3", "ghcr.io/org/app:1")
		must(t, err)
		if n != 2 || !slices.Equal(left(), []string{"docker.io/team/app:1", "docker.io/team/app:2"}) {
			t.Errorf("deleted %d, left are %v", n, left())
		}
		n, err = m.ForgetWants(t.Context())
		must(t, err)
		if n != 2 || left() != nil {
			t.Errorf("deleted %d, left are %v", n, left())
		}
	})
}

// TestIncompleteAnswerIsAnError ends answers too early.
func TestIncompleteAnswerIsAnError(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"before the first line": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"between two lines": func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintln(w, `{"name":"a"}`)
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		},
		"within a long line": func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, strings.Repeat(" ", 100_000)+`{"name":`)
		},
		"without its end":     func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"name":"a"`) },
		"within a line":       func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"name":`) },
		"with another status": func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "what?", http.StatusTeapot) },
	} {
		for way, transport := range map[string]func(testing.TB, http.Handler) http.RoundTripper{"socket": bySocket, "in process": inProcess} {
			t.Run(name+" over "+way, func(t *testing.T) {
				client := admin.NewClient(transport(t, answer))
				var failed error
				for _, err := range client.Images(t.Context(), admin.Query{}) {
					failed = err
				}
				if failed == nil {
					t.Error("the list is complete")
				}
				if _, err := client.Status(t.Context()); err == nil && name != "between two lines" {
					t.Error("the status is complete")
				}
			})
		}
	}
}

// TestLinesOfAnyLength sends lines that are longer than the buffer of the client, and empty ones, which keep a connection
// alive.
func TestLinesOfAnyLength(t *testing.T) {
	want := []string{"a", strings.Repeat("long", 50_000), "b", strings.Repeat("longer", 50_000)}
	client := admin.NewClient(inProcess(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for _, name := range want {
			fmt.Fprintf(w, "\n{\"name\":%q}\n\n", name)
		}
	})))
	var got []string
	for image, err := range client.Images(t.Context(), admin.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, image.Name)
	}
	if !slices.Equal(got, want) {
		t.Errorf("%d names differ from the %d that were sent", len(got), len(want))
	}
}

func TestUnknownRequest(t *testing.T) {
	m, _ := open(t)
	for way, transport := range map[string]func(testing.TB, http.Handler) http.RoundTripper{"socket": bySocket, "in process": inProcess} {
		client := http.Client{Transport: transport(t, admin.Local(admin.New(m, admin.Options{Version: "v0"})))}
		resp, err := client.Get("http://mirror/api/v1/later")
		must(t, err)
		body, err := io.ReadAll(resp.Body)
		must(t, err)
		resp.Body.Close()
		if resp.StatusCode != http.StatusMethodNotAllowed || !strings.Contains(string(body), `"code":"UNSUPPORTED"`) || !strings.Contains(string(body), "v0") {
			t.Errorf("%s: %s %s", way, resp.Status, body)
		}
	}
}
