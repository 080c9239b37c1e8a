package middleware_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"airmirror/api/middleware"
)

// TestCrossOriginChangesAreRefused: whatever credentials the browser adds.
func TestCrossOriginChangesAreRefused(t *testing.T) {
	reached := false
	f := middleware.New(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }), middleware.Options{}, middleware.Settings{})
	for _, tt := range []struct {
		method, origin, site string
		want                 int
	}{
		{"POST", "", "", 200},
		{"POST", "http://reg.example", "", 200},
		{"POST", "http://reg.example", "same-origin", 200},
		{"POST", "", "none", 200},
		{"POST", "http://evil.example", "", 403},
		{"POST", "http://reg.example:81", "", 403},
		{"POST", "null", "", 403},
		{"POST", "http://evil.example", "cross-site", 403},
		{"POST", "", "cross-site", 403},
		{"POST", "http://other.reg.example", "same-site", 403},
		{"PUT", "http://evil.example", "", 403},
		{"PATCH", "http://evil.example", "", 403},
		{"DELETE", "http://evil.example", "", 403},
		{"GET", "http://evil.example", "cross-site", 200},
		{"HEAD", "http://evil.example", "cross-site", 200},
	} {
		r, w := httptest.NewRequest(tt.method, "http://reg.example/v2/team/app/blobs/uploads/", nil), httptest.NewRecorder()
		r.SetBasicAuth("alice", "pw")
		if tt.origin != "" {
			r.Header.Set("Origin", tt.origin)
		}
		if tt.site != "" {
			r.Header.Set("Sec-Fetch-Site", tt.site)
		}
		reached = false
		if f.ServeHTTP(w, r); w.Code != tt.want || reached != (tt.want == 200) {
			t.Errorf("%s from %q, %q: %d, reached %t; want %d", tt.method, tt.origin, tt.site, w.Code, reached, tt.want)
		}
	}
}

// TestSecurityHeaders: on pages, responses of the handler and refusals.
func TestSecurityHeaders(t *testing.T) {
	f := middleware.New(http.NotFoundHandler(), middleware.Options{Pages: map[string]http.Handler{"/healthz": http.NotFoundHandler()}},
		middleware.Settings{RequestsPerSecond: 0.001, Burst: 1})
	for _, tt := range []struct {
		path string
		want int
	}{{"/healthz", 404}, {"/v2/", 404}, {"/v2/", 429}} {
		w := httptest.NewRecorder()
		f.ServeHTTP(w, httptest.NewRequest(http.MethodGet, tt.path, nil))
		if w.Code != tt.want {
			t.Errorf("%s: %d, want %d", tt.path, w.Code, tt.want)
		}
		for key, want := range map[string]string{
			"X-Content-Type-Options":       "nosniff",
			"Content-Security-Policy":      "default-src 'none'; sandbox; frame-ancestors 'none'",
			"Cross-Origin-Resource-Policy": "same-origin",
		} {
			if got := w.Header().Get(key); got != want {
				t.Errorf("%s, %d: %s is %q, want %q", tt.path, tt.want, key, got, want)
			}
		}
	}
}
