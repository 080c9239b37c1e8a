package middleware_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"airmirror/api/auth"
	"airmirror/api/middleware"
	"airmirror/api/registry"
	"airmirror/mirror"
)

func proxies(t *testing.T, texts ...string) (all []netip.Prefix) {
	t.Helper()
	for _, text := range texts {
		proxy, err := middleware.ParseProxy(text)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, proxy)
	}
	return all
}

func TestTrustedProxyNamesTheClient(t *testing.T) {
	trusted := []string{"10.0.0.1", "10.1.0.0/16", "fd00::/8"}
	for name, tt := range map[string]struct {
		trusted []string
		from    string
		headers []string
		want    string
	}{
		"nobody is trusted":             {nil, "10.0.0.1:1", []string{"192.0.2.1"}, "10.0.0.1"},
		"not trusted":                   {trusted, "192.0.2.9:1", []string{"192.0.2.1"}, "192.0.2.9"},
		"not forwarded":                 {trusted, "10.0.0.1:1", nil, "10.0.0.1"},
		"one proxy":                     {trusted, "10.0.0.1:1", []string{"192.0.2.1"}, "192.0.2.1"},
		"what the client says before":   {trusted, "10.0.0.1:1", []string{"127.0.0.1, 192.0.2.1"}, "192.0.2.1"},
		"two proxies":                   {trusted, "10.0.0.1:1", []string{"198.51.100.7, 192.0.2.1, 10.1.2.3"}, "192.0.2.1"},
		"two headers":                   {trusted, "10.0.0.1:1", []string{"192.0.2.1", " 10.1.2.3 "}, "192.0.2.1"},
		"all are proxies":               {trusted, "10.0.0.1:1", []string{"10.1.0.1,10.1.0.2"}, "10.1.0.1"},
		"a proxy speaks IPv6":           {trusted, "[fd00::1]:1", []string{"2001:db8::1"}, "2001:db8::1"},
		"IPv4 in IPv6":                  {trusted, "[::ffff:10.0.0.1]:1", []string{"::ffff:192.0.2.1"}, "192.0.2.1"},
		"a network of IPv4 in IPv6":     {[]string{"::ffff:10.0.0.0/104"}, "10.0.0.1:1", []string{"192.0.2.1"}, "192.0.2.1"},
		"with a port":                   {trusted, "10.0.0.1:1", []string{"192.0.2.1:4711"}, "192.0.2.1"},
		"IPv6 with a port":              {trusted, "10.0.0.1:1", []string{"[2001:db8::1]:4711"}, "2001:db8::1"},
		"garbage":                       {trusted, "10.0.0.1:1", []string{"192.0.2.1, unknown"}, "10.0.0.1"},
		"garbage behind a second proxy": {trusted, "10.0.0.1:1", []string{"192.0.2.1, _hidden, 10.1.2.3"}, "10.1.2.3"},
		"garbage before the client":     {trusted, "10.0.0.1:1", []string{"'; --, 192.0.2.1"}, "192.0.2.1"},
		"empty":                         {trusted, "10.0.0.1:1", []string{""}, "10.0.0.1"},
		"an empty header at the end":    {trusted, "10.0.0.1:1", []string{"192.0.2.1", ""}, "10.0.0.1"},
		"commas":                        {trusted, "10.0.0.1:1", []string{",,,"}, "10.0.0.1"},
		"half an address":               {trusted, "10.0.0.1:1", []string{"192.0.2"}, "10.0.0.1"},
		"no address of its own":         {trusted, "@", []string{"192.0.2.1"}, "@"},
	} {
		var told string
		f := middleware.New(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), middleware.Options{
			Observers: []func(*middleware.Exchange){func(e *middleware.Exchange) { told = e.Address }},
		}, middleware.Settings{Proxies: proxies(t, tt.trusted...)})
		r := httptest.NewRequest(http.MethodGet, "/v2/", nil)
		r.RemoteAddr = tt.from
		r.Header["X-Forwarded-For"] = tt.headers
		f.ServeHTTP(httptest.NewRecorder(), r)
		if told != tt.want {
			t.Errorf("%s: the client is %s, want %s", name, told, tt.want)
		}
	}
}

// TestLimitsApplyToClientsBehindAProxy checks that limits count for each client behind a proxy instead of for the
// proxy, and that a client cannot evade them with a forged header.
func TestLimitsApplyToClientsBehindAProxy(t *testing.T) {
	f := middleware.New(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), middleware.Options{},
		middleware.Settings{RequestsPerSecond: 0.001, Burst: 1, Proxies: proxies(t, "10.0.0.1")})
	ask := func(from, header string) int {
		r, w := httptest.NewRequest(http.MethodGet, "/v2/", nil), httptest.NewRecorder()
		r.RemoteAddr = from
		r.Header.Set("X-Forwarded-For", header)
		f.ServeHTTP(w, r)
		return w.Code
	}
	for i, want := range []int{200, 429} {
		if got := ask("10.0.0.1:1", "192.0.2.1"); got != want {
			t.Errorf("request %d of a client: status %d", i, got)
		}
		if got := ask("192.0.2.9:1", "192.0.2."+string(rune('3'+i))); got != want {
			t.Errorf("request %d through a proxy that is not trusted: status %d", i, got)
		}
	}
	if got := ask("10.0.0.1:1", "203.0.113.9, 192.0.2.1"); got != 429 {
		t.Errorf("a client with a forged header: status %d", got)
	}
	if got := ask("10.0.0.1:1", "192.0.2.2"); got != 200 {
		t.Errorf("another client: status %d", got)
	}
}

// TestForwardedRequestHasNoLoopbackRights checks that a forwarded request has no loopback rights, even if a trusted
// proxy names a loopback address as the client.
func TestForwardedRequestHasNoLoopbackRights(t *testing.T) {
	guard, err := auth.New(auth.Options{})
	if err != nil {
		t.Fatal(err)
	}
	push := registry.Operation{Action: registry.Push, Repo: mirror.Repo{Host: "docker.io", Path: "team/app"}}
	f := middleware.New(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := guard.Authorize(w.Header(), r, push); err != nil {
			w.WriteHeader(http.StatusForbidden)
		}
	}), middleware.Options{}, middleware.Settings{Proxies: proxies(t, "127.0.0.0/8", "10.0.0.1")})
	for _, tt := range []struct {
		from, header string
		want         int
	}{
		{"127.0.0.1:1", "", 200}, {"127.0.0.1:1", "127.0.0.1", 403}, {"10.0.0.1:1", "127.0.0.1", 403}, {"10.0.0.1:1", "::1", 403},
		{"127.0.0.1:1", "192.0.2.1", 403},
	} {
		r, w := httptest.NewRequest(http.MethodPost, "/v2/", nil), httptest.NewRecorder()
		r.RemoteAddr, r.Host = tt.from, "localhost"
		if tt.header != "" {
			r.Header.Set("X-Forwarded-For", tt.header)
		}
		if f.ServeHTTP(w, r); w.Code != tt.want {
			t.Errorf("from %s for %q: status %d, want %d", tt.from, tt.header, w.Code, tt.want)
		}
	}
}

func TestParseProxy(t *testing.T) {
	for text, want := range map[string]string{
		"10.0.0.7": "10.0.0.7/32", "10.1.2.3/8": "10.0.0.0/8", "::1": "::1/128", "fd00::1/8": "fd00::/8", "::ffff:10.0.0.7": "10.0.0.7/32",
		"": "", "proxy.corp": "", "10.0.0.0/33": "", "10.0.0.7:80": "", "::ffff:10.0.0.0/8": "",
	} {
		got, err := middleware.ParseProxy(text)
		if (err == nil) != (want != "") || err == nil && got.String() != want {
			t.Errorf("%q: %v, %v; want %q", text, got, err, want)
		}
	}
}
