package middleware_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"airmirror/api/middleware"
)

// ended is what an observer saw of a request.
type ended struct {
	id, address string
	status      int
	in, out     int64
	broken      bool
}

// serve starts a server with a [middleware.Handler] and returns what its observer sees.
func serve(t *testing.T, settings middleware.Settings, handler http.HandlerFunc) (url string, told chan ended) {
	t.Helper()
	told = make(chan ended, 100)
	f := middleware.New(handler, middleware.Options{
		Pages: map[string]http.Handler{"/healthz": middleware.Alive()},
		Observers: []func(*middleware.Exchange){func(e *middleware.Exchange) {
			told <- ended{e.ID, e.Address, e.Status, e.In, e.Out, e.Aborted}
		}},
	}, settings)
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	return server.URL, told
}

func TestObserversSeeEachRequest(t *testing.T) {
	url, told := serve(t, middleware.Settings{}, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		switch r.URL.Path {
		case "/teapot":
			w.WriteHeader(http.StatusTeapot)
			_, _ = io.WriteString(w, "short and stout")
		case "/broken":
			_, _ = io.WriteString(w, "par")
			panic(http.ErrAbortHandler)
		}
	})
	for path, want := range map[string]ended{
		"/teapot": {status: 418, in: 5, out: 15},
		"/broken": {status: 0, in: 5, out: 3, broken: true},
		"/none":   {status: 200, in: 5},
	} {
		resp, err := http.Post(url+path, "", strings.NewReader("water"))
		if err == nil {
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
		got := <-told
		if got.id == "" || err == nil && resp.Header.Get("X-Request-Id") != got.id || got.address != "127.0.0.1" {
			t.Errorf("%s: %+v", path, got)
		}
		got.id, got.address = "", ""
		if got != want {
			t.Errorf("%s: the observer got %+v, want %+v", path, got, want)
		}
	}
	resp, err := http.Get(url + "/healthz")
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("healthz: %v", err)
	}
	resp.Body.Close()
	if len(told) != 0 {
		t.Errorf("a page was told of: %+v", <-told)
	}
}

func TestValidRequestIDsAreKept(t *testing.T) {
	url, told := serve(t, middleware.Settings{}, func(http.ResponseWriter, *http.Request) {})
	seen := map[string]bool{}
	for given, taken := range map[string]bool{
		"req-1.a:b/c": true, "": false, "with space": false, "naïve": false, strings.Repeat("x", 129): false, `"quoted"`: false,
	} {
		req, err := http.NewRequest(http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Request-Id", given)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		id := (<-told).id
		if (id == given) != taken || id == "" || seen[id] || resp.Header.Get("X-Request-Id") != id {
			t.Errorf("%q became %q", given, id)
		}
		seen[id] = true
	}
}

func TestAccessLog(t *testing.T) {
	core, logged := observer.New(zap.InfoLevel)
	on := false
	done := make(chan bool, 2)
	f := middleware.New(http.NotFoundHandler(), middleware.Options{Observers: []func(*middleware.Exchange){
		middleware.AccessLog(zap.New(core), func() bool { return on }), func(*middleware.Exchange) { done <- true },
	}}, middleware.Settings{})
	server := httptest.NewServer(f)
	defer server.Close()
	for range 2 {
		resp, err := http.Get(server.URL + "/v2/a?token=secret")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		<-done
		on = true
	}
	if logged.Len() != 1 {
		t.Fatalf("logged %v", logged.All())
	}
	fields := logged.All()[0].ContextMap()
	if fields["status"] != int64(404) || fields["path"] != "/v2/a" || fields["address"] != "127.0.0.1" || fields["out"] != int64(19) || fields["request"] == "" {
		t.Errorf("logged %v", fields)
	}
	for _, value := range fields {
		if text, ok := value.(string); ok && strings.Contains(text, "secret") {
			t.Errorf("logged a secret: %v", fields)
		}
	}
}

func TestReadyNamesTheFailedCheck(t *testing.T) {
	var wrong error
	looked := 0
	ready := middleware.Ready(zap.NewNop(), middleware.Check{Name: "first", Run: func(context.Context) error { looked++; return nil }}, middleware.Check{Name: "second", Run: func(context.Context) error { return wrong }})
	ask := func(handler http.Handler) (int, string) {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/readyz", nil))
		return w.Code, w.Body.String()
	}
	for range 3 {
		if status, text := ask(ready); status != 200 || text != "ready\n" {
			t.Errorf("%d %q", status, text)
		}
	}
	if looked != 1 {
		t.Errorf("looked %d times within a second", looked)
	}
	wrong = errors.New("path /of/mine")
	ready = middleware.Ready(zap.NewNop(), middleware.Check{Name: "second", Run: func(context.Context) error { return wrong }})
	if status, text := ask(ready); status != 503 || text != "not ready: second\n" {
		t.Errorf("%d %q", status, text)
	}
}
