package middleware_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"airmirror/api/middleware"
)

// status sends a request from an address to a handler.
func status(h http.Handler, method, address string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "/v2/a/blobs/uploads/", strings.NewReader("x"))
	r.RemoteAddr = address
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// refused checks that a response is an error with this status and code, and has a Retry-After header.
func refused(t *testing.T, w *httptest.ResponseRecorder, status int, code string) {
	t.Helper()
	if w.Code != status || w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), `"code":"`+code+`"`) {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
}

// busy returns a handler with a request in flight until release is called.
func busy(t *testing.T, settings middleware.Settings, method, address string) (f *middleware.Handler, release func()) {
	t.Helper()
	begun, end, done := make(chan bool), make(chan bool), make(chan bool)
	first := true
	f = middleware.New(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		if first {
			first = false
			close(begun)
			<-end
		}
	}), middleware.Options{Pages: map[string]http.Handler{"/healthz": middleware.Alive()}}, settings)
	go func() { defer close(done); status(f, method, address) }()
	<-begun
	return f, func() { close(end); <-done }
}

func TestRequestLimit(t *testing.T) {
	f, release := busy(t, middleware.Settings{Requests: 1}, http.MethodGet, "192.0.2.1:1")
	refused(t, status(f, http.MethodGet, "192.0.2.2:1"), 503, "UNAVAILABLE")
	w := httptest.NewRecorder()
	f.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/healthz", nil))
	if body, _ := io.ReadAll(w.Body); w.Code != 200 {
		t.Errorf("Alive answered %d %s", w.Code, body)
	}
	release()
	if w := status(f, http.MethodGet, "192.0.2.2:1"); w.Code != 200 || f.InFlight() != 0 {
		t.Errorf("status %d, %d requests in flight", w.Code, f.InFlight())
	}
}

func TestRateLimitPerAddress(t *testing.T) {
	f := middleware.New(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), middleware.Options{}, middleware.Settings{RequestsPerSecond: 0.001, Burst: 2})
	for _, address := range []string{"192.0.2.1:1", "192.0.2.1:2", "[2001:db8::1]:1", "[2001:db8::2]:1", "192.0.2.2:1"} {
		if w := status(f, http.MethodGet, address); w.Code != 200 {
			t.Errorf("%s: %d", address, w.Code)
		}
	}
	for _, address := range []string{"192.0.2.1:3", "[2001:db8::3]:1", "[::ffff:192.0.2.1]:1"} {
		refused(t, status(f, http.MethodGet, address), 429, "TOOMANYREQUESTS")
	}
	first, second := status(f, http.MethodGet, "192.0.2.1:3"), status(f, http.MethodGet, "192.0.2.1:3")
	if first.Header().Get("Retry-After") != second.Header().Get("Retry-After") {
		t.Errorf("a refused request extended the wait: %v, then %v", first.Header(), second.Header())
	}
	f.Configure(middleware.Settings{})
	if w := status(f, http.MethodGet, "192.0.2.1:4"); w.Code != 200 {
		t.Errorf("without a limit: status %d", w.Code)
	}
}

func TestUploadLimitPerAddress(t *testing.T) {
	f, release := busy(t, middleware.Settings{Uploads: 1}, http.MethodPatch, "192.0.2.1:1")
	refused(t, status(f, http.MethodPut, "192.0.2.1:2"), 429, "TOOMANYREQUESTS")
	for method, address := range map[string]string{http.MethodGet: "192.0.2.1:3", http.MethodPut: "192.0.2.2:1"} {
		if w := status(f, method, address); w.Code != 200 {
			t.Errorf("%s from %s: %d", method, address, w.Code)
		}
	}
	release()
	if w := status(f, http.MethodPut, "192.0.2.1:2"); w.Code != 200 {
		t.Errorf("afterwards: %d", w.Code)
	}
}

// TestOneClientLeavesRequestsForOthers checks that a client with as many unfinished requests as possible has half of
// the limit, and other clients are served.
func TestOneClientLeavesRequestsForOthers(t *testing.T) {
	end := make(chan bool)
	var all sync.WaitGroup
	begun := make(chan bool, 100)
	f := middleware.New(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.RemoteAddr, "192.0.2.66:") {
			begun <- true
			<-end
		}
	}), middleware.Options{}, middleware.Settings{Requests: 100})
	for range 50 {
		all.Go(func() { status(f, http.MethodGet, "192.0.2.66:1") })
		<-begun
	}
	for range 3 {
		refused(t, status(f, http.MethodGet, "192.0.2.66:2"), 429, "TOOMANYREQUESTS")
	}
	for _, address := range []string{"192.0.2.1:1", "192.0.2.2:1", "[2001:db8::1]:1"} {
		if w := status(f, http.MethodGet, address); w.Code != 200 {
			t.Errorf("%s, with one request: status %d %s", address, w.Code, w.Body)
		}
	}
	close(end)
	all.Wait()
	if f.InFlight() != 0 {
		t.Errorf("%d requests in flight", f.InFlight())
	}
}
