package auth_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"airmirror/api/auth"
	"airmirror/api/registry"
	"airmirror/mirror"
)

// TestWithoutUsersOnlyLoopbackMayPush: and everybody may pull.
func TestWithoutUsersOnlyLoopbackMayPush(t *testing.T) {
	s := newSite(t, auth.Options{})
	blob, manifest := s.fill("team/app")
	s.want(200, nobody, "GET", "/v2/", nil)
	s.want(200, user("any", "body"), "GET", "/v2/team/app/manifests/1", nil) // credentials do not matter
	s.want(200, nobody, "GET", "/v2/_catalog", nil)
	before := s.state()
	changes := []struct{ method, path string }{
		{"POST", "/v2/team/app/blobs/uploads/"},
		{"POST", "/v2/team/app/blobs/uploads/?mount=" + blob.String() + "&from=team/app"},
		{"PATCH", "/v2/team/app/blobs/uploads/some-id"},
		{"PUT", "/v2/team/app/manifests/2"},
		{"DELETE", "/v2/team/app/manifests/1"},
		{"DELETE", "/v2/team/app/manifests/" + manifest.String()},
		{"DELETE", "/v2/team/app/blobs/" + blob.String()},
		{"DELETE", "/v2/team/app/blobs/uploads/some-id"},
		{"GET", "/v2/team/app/blobs/uploads/some-id"},
	}
	for _, change := range changes {
		w := s.want(403, nobody, change.method, change.path, []byte("{}"))
		if text := w.Body.String(); !strings.Contains(text, "DENIED") || !strings.Contains(text, "mirror user add") || !strings.Contains(text, "auth.anonymousPush") {
			t.Errorf("%s %s: refused without a next step: %s", change.method, change.path, text)
		}
	}
	if after := s.state(); after != before {
		t.Errorf("what was refused changed\n%s\ninto\n%s", before, after)
	}
	for _, address := range []string{"127.0.0.1:1", "127.8.9.1:1", "[::1]:1", "[::ffff:127.0.0.1]:1"} {
		s.want(202, home(address), "POST", "/v2/team/app/blobs/uploads/", nil)
	}
	for _, address := range []string{"10.0.0.1:1", "[::2]:1", "[fe80::1%lo]:1", "127.0.0.1", "localhost:1", "", "@"} {
		s.want(403, home(address), "POST", "/v2/team/app/blobs/uploads/", nil)
	}
	for host, want := range map[string]int{
		"localhost": 202, "LOCALHOST:5000": 202, "127.0.0.1:5000": 202, "127.8.9.1": 202, "[::1]:5000": 202, "[::1]": 202,
		"": 403, "reg.example:5000": 403, "localhost.evil.example": 403, "10.0.0.1:5000": 403, "127.0.0.1.evil.example": 403, ":5000": 403,
	} {
		to := func(r *http.Request) { fromLoopback(r); r.Host = host }
		if w := s.do(to, "POST", "/v2/team/app/blobs/uploads/", nil); w.Code != want {
			t.Errorf("to the host %q: %d, want %d", host, w.Code, want)
		}
	}
	s.want(202, fromLoopback, "DELETE", "/v2/team/app/manifests/1", nil)
}

// TestWithoutUsersAndAnonymousPullOnlyLoopbackMayPull: and the refusal names the setting.
func TestWithoutUsersAndAnonymousPullOnlyLoopbackMayPull(t *testing.T) {
	s := newSite(t, auth.Options{NoAnonymousPull: true})
	s.fill("team/app")
	for path, method := range map[string]string{"/v2/team/app/manifests/1": "GET", "/v2/_catalog": "GET", "/v2/team/app/blobs/uploads/": "POST"} {
		want := "auth.anonymousPull"
		if method == "POST" {
			want = "auth.anonymousPush"
		}
		if text := s.want(403, nobody, method, path, nil).Body.String(); !strings.Contains(text, "set "+want+" ") {
			t.Errorf("%s %s: refused with %s, want %s in it", method, path, text, want)
		}
	}
	s.want(200, fromLoopback, "GET", "/v2/team/app/manifests/1", nil)
	guard, err := auth.New(auth.Options{NoAnonymousPull: true})
	must(t, err)
	if said := guard.Summary(); !strings.HasPrefix(said, "without users, only this machine may pull, push and delete") {
		t.Errorf("it says that %s", said)
	}
}

// TestForwardedRequestHasNoLoopbackRights: for all headers of proxies, values and spellings.
func TestForwardedRequestHasNoLoopbackRights(t *testing.T) {
	s := newSite(t, auth.Options{})
	server := httptest.NewServer(s.handler)
	defer server.Close()
	send := func(version string, lines ...string) (int, string) {
		t.Helper()
		conn, err := net.Dial("tcp", strings.TrimPrefix(server.URL, "http://"))
		must(t, err)
		defer conn.Close()
		lines = append([]string{"POST /v2/team/app/blobs/uploads/ " + version, "Host: localhost", "Content-Length: 0"}, lines...)
		_, err = io.WriteString(conn, strings.Join(lines, "\r\n")+"\r\n\r\n")
		must(t, err)
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		must(t, err)
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(body)
	}
	if status, body := send("HTTP/1.1"); status != 202 {
		t.Fatalf("from this machine: %d %s", status, body)
	}
	if status, _ := send("HTTP/1.0"); status != 403 {
		t.Errorf("by HTTP/1.0, as nginx asks: %d", status)
	}
	for _, line := range []string{
		"X-Forwarded-For: 127.0.0.1", "x-forwarded-for: ::1", "X-FORWARDED-FOR:", "X-Forwarded-Host: localhost", "X-Forwarded-Proto: http",
		"Forwarded: for=127.0.0.1", "forwarded:", "Via: 1.1 localhost", "X-Real-IP: 127.0.0.1", "X-Client-IP: ::1", "Origin: http://evil.example",
		"Sec-Fetch-Site: none",
		"Connection: X-Forwarded-For\r\nX-Forwarded-For: 127.0.0.1", "True-Client-IP: 127.0.0.1",
	} {
		if status, body := send("HTTP/1.1", line); status != 403 || !strings.Contains(body, "forwarded by a proxy") {
			t.Errorf("%q: %d %s", line, status, body)
		}
	}
}

// TestPossibleProxyHasNoLoopbackRights: the result of CheckPeer decides, for pushes and for administration. It is not
// called where it does not matter.
func TestPossibleProxyHasNoLoopbackRights(t *testing.T) {
	var asked []netip.AddrPort
	verdict := errors.New("it listens")
	opts := auth.Options{NoAnonymousPull: true, CheckPeer: func(remote, local netip.AddrPort) error {
		asked = append(asked, remote, local)
		return verdict
	}}
	s := newSite(t, opts)
	reached := func(who as) as {
		return func(r *http.Request) {
			who(r)
			*r = *r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1).To4(), Port: 5000}))
		}
	}
	post := func(status int, who as) string {
		return s.want(status, who, "POST", "/v2/team/app/blobs/uploads/", nil).Body.String()
	}
	if text := post(403, reached(fromLoopback)); !strings.Contains(text, "may be a proxy") || !strings.Contains(text, "auth.loopbackPush") || strings.Contains(text, "listens") {
		t.Errorf("refused with %s", text)
	}
	want := []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:4711"), netip.MustParseAddrPort("127.0.0.1:5000")}
	if !slices.Equal(asked, want) {
		t.Errorf("asked about %v, want %v", asked, want)
	}
	if w := adminsSee(t, opts, reached(fromLoopback)); w.Code != 403 {
		t.Errorf("what admins see: %d", w.Code)
	}
	post(403, fromLoopback) // the connection is unknown
	asked = nil
	post(403, reached(nobody))
	if len(asked) > 0 {
		t.Errorf("asked about %v, which is not of this machine", asked)
	}
	post(202, func(r *http.Request) {
		fromLoopback(r)
		*r = *r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, &net.UnixAddr{Net: "unix"}))
	})
	verdict = nil
	post(202, reached(fromLoopback))
	if w := adminsSee(t, opts, reached(fromLoopback)); w.Code != 200 {
		t.Errorf("what admins see, a client: %d", w.Code)
	}
}

// TestLoopbackRightsCanBeDisabled: for pushes and for administration.
func TestLoopbackRightsCanBeDisabled(t *testing.T) {
	opts := auth.Options{NoLoopback: true, NoAnonymousPull: true}
	s := newSite(t, opts)
	if text := s.want(403, fromLoopback, "POST", "/v2/team/app/blobs/uploads/", nil).Body.String(); !strings.Contains(text, "nobody may push") || !strings.Contains(text, "mirror user add") {
		t.Errorf("refused with %s", text)
	}
	if w := adminsSee(t, opts, fromLoopback); w.Code != 403 {
		t.Errorf("what admins see: %d", w.Code)
	}
	guard, err := auth.New(opts)
	must(t, err)
	if said := guard.Summary(); !strings.HasPrefix(said, "without users, nobody may pull, push and delete") {
		t.Errorf("it says that %s", said)
	}
}

func TestWithUsersOnlyUsersMayPush(t *testing.T) {
	s := newSite(t, auth.Options{Htpasswd: htpasswd(t, "alice")})
	_, manifest := s.fill("team/app")
	s.want(200, known("alice"), "GET", "/v2/", nil)
	s.want(200, nobody, "GET", "/v2/team/app/manifests/1", nil)
	s.want(200, nobody, "GET", "/v2/_catalog", nil)
	before := s.state()
	for i, who := range []as{nobody, from("127.0.0.1:4711"), user("alice", "guess"), user("bob", "bob"), user("", "ecila"), bearer("x"), func(r *http.Request) { r.Header.Set("Authorization", "Basic !") }} {
		w := s.want(401, who, "POST", "/v2/team/app/blobs/uploads/", nil)
		gone := s.want(401, who, "DELETE", "/v2/team/app/manifests/1", nil)
		push, remove := `Bearer realm="http://example.com/auth/token",service="mirror",scope="repository:team/app:pull,push"`, `Bearer realm="http://example.com/auth/token",service="mirror",scope="repository:team/app:delete"`
		if i < 2 { // without credentials
			push, remove = "Basic ", "Basic "
		}
		if got := w.Header().Get("WWW-Authenticate"); !strings.HasPrefix(got, push) {
			t.Errorf("challenge %q, want %s", got, push)
		}
		if got := gone.Header().Get("WWW-Authenticate"); !strings.HasPrefix(got, remove) {
			t.Errorf("challenge %q, want %s", got, remove)
		}
		if w := s.want(401, who, "GET", "/v2/", nil); !strings.HasPrefix(w.Header().Get("WWW-Authenticate"), "Bearer ") {
			t.Errorf("what dockerd asks first is challenged with %q", w.Header())
		}
	}
	s.want(401, fromLoopback, "POST", "/v2/team/app/blobs/uploads/", nil)
	s.want(401, user("alice", "guess"), "GET", "/v2/team/app/manifests/1", nil) // a wrong password is always an error
	if after := s.state(); after != before {
		t.Errorf("what was refused changed\n%s\ninto\n%s", before, after)
	}
	s.want(202, known("alice"), "POST", "/v2/team/app/blobs/uploads/", nil)
	s.want(202, known("alice"), "DELETE", "/v2/team/app/manifests/"+manifest.String(), nil)
}

func TestNoAnonymousPull(t *testing.T) {
	s := newSite(t, auth.Options{Htpasswd: htpasswd(t, "alice"), NoAnonymousPull: true})
	s.fill("team/app")
	for _, path := range []string{"/v2/", "/v2/_catalog", "/v2/team/app/manifests/1", "/v2/team/app/tags/list"} {
		if w := s.want(401, nobody, "GET", path, nil); !strings.HasPrefix(w.Header().Get("WWW-Authenticate"), "Basic ") {
			t.Errorf("%s: challenge %q", path, w.Header())
		}
		s.want(200, known("alice"), "GET", path, nil)
	}
	s.want(401, nobody, "HEAD", "/v2/team/app/manifests/1", nil)
}

func TestAnonymousPush(t *testing.T) {
	s := newSite(t, auth.Options{AnonymousPush: true})
	s.fill("team/app")
	s.want(202, nobody, "POST", "/v2/team/app/blobs/uploads/", nil, "X-Forwarded-For", "10.0.0.1")
	s.want(202, nobody, "DELETE", "/v2/team/app/manifests/1", nil)
}

// TestClientCertificatesIdentifyUsers: only certificates that TLS verified.
func TestClientCertificatesIdentifyUsers(t *testing.T) {
	rules := []auth.Rule{{Users: []string{"node"}, Repositories: []string{"team/**"}, Actions: []registry.Action{registry.Pull}}}
	s := newSite(t, auth.Options{Certificates: true, Rules: rules})
	s.fill("team/app")
	cert := func(name string, verified bool) as {
		return func(r *http.Request) {
			chain := []*x509.Certificate{{Subject: pkix.Name{CommonName: name}}}
			r.TLS = &tls.ConnectionState{PeerCertificates: chain}
			if verified {
				r.TLS.VerifiedChains = [][]*x509.Certificate{chain}
			}
		}
	}
	s.want(200, cert("node", true), "GET", "/v2/team/app/manifests/1", nil)
	for _, who := range []as{nobody, fromLoopback, cert("node", false), cert("other", true), cert("", true), cert("anonymous", true), cert("node\n", true)} {
		s.want(403, who, "GET", "/v2/team/app/manifests/1", nil)
		s.want(403, who, "POST", "/v2/team/app/blobs/uploads/", nil)
	}
	without := newSite(t, auth.Options{Rules: rules})
	without.fill("team/app")
	without.want(403, cert("node", true), "GET", "/v2/team/app/manifests/1", nil)
}

func TestContextContainsTheUser(t *testing.T) {
	guard, err := auth.New(auth.Options{Htpasswd: htpasswd(t, "alice")})
	must(t, err)
	for name, who := range map[string]as{"alice": known("alice"), "": nobody} {
		r := httptest.NewRequest("GET", "/v2/", nil)
		who(r)
		ctx, err := guard.Authorize(http.Header{}, r, registry.Operation{Action: registry.Pull, Repo: mirror.Repo{Host: "docker.io", Path: "a/b"}})
		must(t, err)
		if got := auth.UserOf(ctx); got != name {
			t.Errorf("the user is %q, want %q", got, name)
		}
	}
}

// TestAuthorizingAPullAllocatesNothing: without users, which is the most common configuration.
func TestAuthorizingAPullAllocatesNothing(t *testing.T) {
	guard, err := auth.New(auth.Options{Htpasswd: t.TempDir() + "/none"})
	must(t, err)
	r := httptest.NewRequest("GET", "/v2/library/app/manifests/1", nil)
	header, op := http.Header{}, registry.Operation{Action: registry.Pull, Repo: mirror.Repo{Host: "docker.io", Path: "library/app"}}
	if n := testing.AllocsPerRun(100, func() {
		if _, err := guard.Authorize(header, r, op); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
