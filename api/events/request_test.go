package events_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/opencontainers/go-digest"

	"airmirror/api/events"
	"airmirror/api/middleware"
	"airmirror/api/registry"
	"airmirror/mirror"
	"airmirror/mirror/proxy"
)

const indexType = "application/vnd.oci.image.index.v1+json"

// TestEventsOfRequests: in the form of distribution. Requests without effect and refused requests cause no event.
func TestEventsOfRequests(t *testing.T) {
	l := newListener(t)
	inTime(t, func(t *testing.T) {
		e := start(t, t.TempDir(), online, l.endpoint())
		handler := middleware.New(registry.New(open(t, proxy.Options{Mode: mirror.Offline}), registry.Options{}), middleware.Options{
			User: func(context.Context) string { return "robot" }, Observers: []func(*middleware.Exchange){e.Request},
		}, middleware.Settings{})
		index := `{"schemaVersion":2,"mediaType":"` + indexType + `","manifests":[]}`
		d, blob := digest.FromString(index).String(), digest.FromString("0123456789").String()
		const of = "application/octet-stream 10 "
		manifest := indexType + " 88 a "
		for i, tt := range []struct {
			method, path, body, header string
			want                       string // for each event: action, media type, size, repository, tag, digest, URL and source repository; "" for no event
		}{
			{"GET", "/v2/", "", "", ""},
			{"POST", "/v2/a/blobs/uploads/?digest=" + blob, "0123456789", "", "push " + of + "a " + blob + " /v2/a/blobs/" + blob},
			{"POST", "/v2/a/blobs/uploads/", "", "", ""},
			{"POST", "/v2/quay.io/b/blobs/uploads/?mount=" + blob + "&from=a", "", "", "mount application/octet-stream 0 quay.io/b " + blob + " /v2/quay.io/b/blobs/" + blob + " a"},
			{"HEAD", "/v2/a/blobs/" + blob, "", "", ""},
			{"GET", "/v2/a/blobs/" + blob, "", "", "pull " + of + "a " + blob + " /v2/a/blobs/" + blob},
			{"GET", "/v2/b/blobs/" + blob + "?ns=quay.io", "", "", "pull " + of + "quay.io/b " + blob + " /v2/quay.io/b/blobs/" + blob},
			{"GET", "/v2/a/blobs/" + blob, "", "Range: bytes=0-4", ""},
			{"GET", "/v2/a/blobs/" + blob, "", "Range: bytes=5-8", ""},
			{"GET", "/v2/a/blobs/" + blob, "", "Range: bytes=9-", "pull " + of + "a " + blob + " /v2/a/blobs/" + blob},
			{"GET", "/v2/a/blobs/" + blob, "", "Range: bytes=10-", ""},
			{"GET", "/v2/a/blobs/" + blob, "", `If-None-Match: "` + blob + `"`, ""},
			{"GET", "/v2/a/blobs/" + digest.FromString("other").String(), "", "", ""},
			{"PUT", "/v2/a/manifests/v1", index, "Content-Type: " + indexType, "push " + manifest + "v1 " + d + " /v2/a/manifests/" + d},
			{"PUT", "/v2/a/manifests/v1", "nonsense", "", ""},
			{"HEAD", "/v2/a/manifests/v1", "", "", ""},
			{"GET", "/v2/a/manifests/v1", "", "", "pull " + manifest + "v1 " + d + " /v2/a/manifests/" + d},
			{"GET", "/v2/a/manifests/" + d, "", "", "pull " + manifest + d + " /v2/a/manifests/" + d},
			{"GET", "/v2/a/manifests/v1", "", `If-None-Match: "` + d + `"`, ""},
			{"PUT", "/v2/a/manifests/" + d + "?tag=x&tag=y", index, "Content-Type: " + indexType,
				"push " + manifest + "x " + d + " /v2/a/manifests/" + d + ", push " + manifest + "y " + d + " /v2/a/manifests/" + d},
			{"GET", "/v2/a/tags/list", "", "", ""},
			{"DELETE", "/v2/a/manifests/v1", "", "", "delete 0 a v1"},
			{"DELETE", "/v2/a/manifests/v1", "", "", ""},
			{"DELETE", "/v2/a/manifests/" + d, "", "", "delete 0 a " + d},
			{"DELETE", "/v2/a/blobs/" + blob, "", "", "delete 0 a " + blob},
		} {
			before, _ := l.tags()
			r := httptest.NewRequest(tt.method, "http://evil.example:8080"+tt.path, strings.NewReader(tt.body))
			r.Header.Set("User-Agent", strings.Repeat("agent", 1000))
			r.Header.Set("X-Forwarded-Proto", []string{"http", "https"}[i%2])
			if name, value, ok := strings.Cut(tt.header, ": "); ok {
				r.Header.Set(name, value)
			}
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			synctest.Wait()
			var all []events.Event
			for _, envelope := range l.took {
				all = append(all, envelope...)
			}
			var got []string
			for _, x := range all[len(before):] {
				got = append(got, describe(x, "https://mirror.test:5000"))
				if x.Actor.Name != "robot" || x.Request.Addr != r.RemoteAddr || x.Request.Host != "evil.example:8080" || x.Request.Method != tt.method ||
					x.Request.ID != w.Header().Get("X-Request-Id") || !strings.HasPrefix(x.Request.UserAgent, "agent") || len(x.Request.UserAgent) > 512 || x.Target.Length != x.Target.Size {
					t.Errorf("%s %s: %+v", tt.method, tt.path, x)
				}
			}
			if s := strings.Join(got, ", "); s != tt.want {
				t.Errorf("%s %s (%d): told of %q, want %q", tt.method, tt.path, w.Code, s, tt.want)
			}
		}
	})
}

func describe(e events.Event, at string) string {
	words := []string{string(e.Action)}
	t := e.Target
	for _, word := range []string{t.MediaType, strconv.FormatInt(t.Size, 10), t.Repository, t.Tag, t.Digest.String(), strings.TrimPrefix(t.URL, at), t.FromRepository} {
		if word != "" {
			words = append(words, word)
		}
	}
	return strings.Join(words, " ")
}

// TestURLComesFromTheSettings.
func TestURLComesFromTheSettings(t *testing.T) {
	l := newListener(t)
	inTime(t, func(t *testing.T) {
		e := events.New(events.Options{Dir: t.TempDir(), URL: func() string { return "https://reg.example/" }})
		defer e.Close()
		configure(t, e, bound, l.endpoint())
		e.Deliver(online)
		handler := middleware.New(registry.New(open(t, proxy.Options{Mode: mirror.Offline}), registry.Options{}), middleware.Options{Observers: []func(*middleware.Exchange){e.Request}}, middleware.Settings{})
		d := digest.FromString("{}").String()
		handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/v2/a/blobs/uploads/?digest="+d, strings.NewReader("{}")))
		synctest.Wait()
		if got := l.took[0][0].Target.URL; got != "https://reg.example/v2/a/blobs/"+d {
			t.Errorf("the URL is %s", got)
		}
	})
}

// TestIncompleteResponseIsNotAPull: of a blob whose last byte was not sent.
func TestIncompleteResponseIsNotAPull(t *testing.T) {
	l := newListener(t)
	e := start(t, t.TempDir(), nil, l.endpoint())
	handler := middleware.New(registry.New(open(t, proxy.Options{Mode: mirror.Offline}), registry.Options{}), middleware.Options{Observers: []func(*middleware.Exchange){e.Request}}, middleware.Settings{})
	content := strings.Repeat("x", 1<<20)
	path := "/v2/a/blobs/" + digest.FromString(content).String()
	handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/v2/a/blobs/uploads/?digest="+digest.FromString(content).String(), strings.NewReader(content)))
	handler.ServeHTTP(&leaving{httptest.NewRecorder()}, httptest.NewRequest(http.MethodGet, path, nil))
	handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, path, nil))
	e.Close()
	if s := statusOf(t, e); s.Queued != 2 {
		t.Errorf("%d events, want the push and a pull", s.Queued)
	}
}

// leaving is the response writer of a client that disconnects early.
type leaving struct{ *httptest.ResponseRecorder }

func (l *leaving) Write(p []byte) (int, error) {
	if l.Body.Len() > 0 {
		return 0, http.ErrHandlerTimeout
	}
	return l.ResponseRecorder.Write(p)
}
