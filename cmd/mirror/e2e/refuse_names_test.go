//go:build e2e

package e2e_test

import (
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"airmirror/cmd/mirror/testport"
)

// TestNamesThatAreNone: whatever a name tries to be beside a name, it is refused for what it is, to who may do everything.
func TestNamesThatAreNone(t *testing.T) {
	v := startVictim(t)
	before := v.holdings(t)
	long := strings.Repeat("a", 256)
	var attempts []attempt
	for name, want := range map[string]string{
		"..": "400 NAME_INVALID", "../..": "400 NAME_INVALID", "alice/../bob": "400 NAME_INVALID", "./app": "400 NAME_INVALID",
		"%2e%2e/app": "400 NAME_INVALID", "alice/%2E%2e/app": "400 NAME_INVALID", "%252e%252e/app": "400 NAME_INVALID",
		"alice%2fapp": "400 NAME_INVALID", "alice%2Fapp": "400 NAME_INVALID", "..%2f..%2fetc/passwd": "400 NAME_INVALID",
		"alice//app": "400 NAME_INVALID", "/alice/app": "400 NAME_INVALID", "alice/": "400 NAME_INVALID", "": "400 NAME_INVALID",
		`alice\app`: "400 NAME_INVALID", `..\..\etc`: "400 NAME_INVALID", "%5c%5chost": "400 NAME_INVALID", "alice%00/app": "400 NAME_INVALID",
		"alice%0d%0aX-Evil:%201": "400 NAME_INVALID", "alice%0aapp": "400 NAME_INVALID", "%20alice/app": "400 NAME_INVALID", "alice+app": "400 NAME_INVALID",
		"%c0%ae%c0%ae/app": "400 NAME_INVALID", "%ff%fe": "400 NAME_INVALID", "al%C4%B1ce/app": "400 NAME_INVALID", "ａlice/app": "400 NAME_INVALID",
		"alice/app%E2%80%AE": "400 NAME_INVALID", "аlice/app": "400 NAME_INVALID", "-alice": "400 NAME_INVALID", "alice/.app": "400 NAME_INVALID",
		"alice/app.": "400 NAME_INVALID", "alice/a..b": "400 NAME_INVALID", "alice/a___b": "400 NAME_INVALID", "Alice/app": "400 NAME_INVALID",
		"C:/windows": "400 NAME_INVALID", "alice/app:v1": "400 NAME_INVALID", "alice/app@x": "400 NAME_INVALID", "$(id)": "400 NAME_INVALID",
		"alice/app;x": "400 NAME_INVALID", "~root": "400 NAME_INVALID", "*": "400 NAME_INVALID", long: "400 NAME_INVALID",
		long + "/" + long: "400 NAME_INVALID", strings.Repeat("a/", 127) + "a": "400 NAME_INVALID", "_catalog": "400 NAME_INVALID",
		"http://10.0.0.1/app": "400 NAME_INVALID", "user@10.0.0.1/app": "400 NAME_INVALID", "10.0.0.1:99999999/app": "400 NAME_INVALID",
		"[::1/app": "400 NAME_INVALID", "host:/app": "400 NAME_INVALID",
	} {
		for _, request := range []string{"GET /v2/%s/manifests/v1", "PUT /v2/%s/manifests/v1", "DELETE /v2/%s/manifests/v1", "POST /v2/%s/blobs/uploads/", "GET /v2/%s/tags/list"} {
			request := strings.Replace(request, "%s", name, 1)
			attempts = append(attempts, attempt{fmt.Sprintf("%.60q", request), "admin", request, nil, "", want})
		}
		if !strings.ContainsAny(name, `+%;\$*`) { // which mean something else there
			request := "POST /v2/bob/app/blobs/uploads/?mount=SECRET_LAYER&from=" + name
			if name != "" {
				attempts = append(attempts, attempt{fmt.Sprintf("%.60q", request), "admin", request, nil, "", want})
			}
		}
	}
	v.refuses(t, attempts)

	v.refuses(t, []attempt{
		{"outside of the API", "admin", "GET /v2/../../etc/passwd", nil, "", "404 NAME_UNKNOWN"},
		{"beside it", "admin", "GET /../v2/alice/app/manifests/v1", nil, "", "404 NAME_UNKNOWN"},
		{"in front of it", "admin", "GET //v2/alice/app/manifests/v1", nil, "", "404 NAME_UNKNOWN"},
		{"by way of it", "admin", "GET /x/../v2/alice/app/manifests/v1", nil, "", "404 NAME_UNKNOWN"},
		{"another version", "admin", "GET /v1/search", nil, "", "404 NAME_UNKNOWN"},
		{"a wrong method of the HTTP API", "admin", "POST /api/v1/mode", nil, "", "405 UNSUPPORTED"},
		{"a profile", "admin", "GET /debug/pprof/", nil, "", "404 NAME_UNKNOWN"},
		{"the index", "admin", "GET /index.db", nil, "", "404 NAME_UNKNOWN"},
		{"a page with more behind it", "", "GET /healthz/../v2/alice/app/manifests/v1", nil, "", "404 NAME_UNKNOWN"},

		{"a tag with a slash", "admin", "GET /v2/alice/app/manifests/v1%2f..", nil, "", "400 NAME_INVALID"},
		{"a tag that leads up", "admin", "GET /v2/alice/app/manifests/..", nil, "", "400 MANIFEST_INVALID"},
		{"a tag with NUL", "admin", "GET /v2/alice/app/manifests/v1%00", nil, "", "400 MANIFEST_INVALID"},
		{"a tag with a line end", "admin", "PUT /v2/alice/app/manifests/v1%0a", nil, "{}", "400 MANIFEST_INVALID"},
		{"a tag with a backslash", "admin", `GET /v2/alice/app/manifests/v1\..`, nil, "", "400 MANIFEST_INVALID"},
		{"a tag of another script", "admin", "GET /v2/alice/app/manifests/%D1%85", nil, "", "400 MANIFEST_INVALID"},
		{"a long tag", "admin", "GET /v2/alice/app/manifests/" + strings.Repeat("v", 129), nil, "", "400 MANIFEST_INVALID"},
		{"a tag in the query", "admin", "PUT /v2/alice/app/manifests/SECRET?tag=../x", nil, "{}", "400 MANIFEST_INVALID"},
		{"more in the query than can be read", "admin", "PUT /v2/alice/app/manifests/SECRET?tag=%zz", nil, "{}", "400 NAME_INVALID"},
		{"semicolons in the query", "admin", "GET /v2/alice/app/tags/list?n=1;last=x", nil, "", "400 NAME_INVALID"},

		{"a digest with a slash", "admin", "GET /v2/alice/app/blobs/sha256%2f" + strings.Repeat("0", 64), nil, "", "400 NAME_INVALID"},
		{"a digest that leads up", "admin", "GET /v2/alice/app/blobs/sha256:..", nil, "", "400 DIGEST_INVALID"},
		{"a digest that leads up and has its length", "admin", "GET /v2/alice/app/blobs/sha256:" + strings.Repeat(".", 64), nil, "", "400 DIGEST_INVALID"},
		{"a digest in capitals", "admin", "GET /v2/alice/app/blobs/SHA256:" + strings.Repeat("A", 64), nil, "", "400 DIGEST_INVALID"},
		{"a short digest", "admin", "GET /v2/alice/app/blobs/sha256:00", nil, "", "400 DIGEST_INVALID"},
		{"a digest with NUL", "admin", "GET /v2/alice/app/blobs/NOTHING%00", nil, "", "400 DIGEST_INVALID"},
		{"md5", "admin", "GET /v2/alice/app/manifests/md5:" + strings.Repeat("0", 32), nil, "", "400 DIGEST_INVALID"},
		{"sha384", "admin", "GET /v2/alice/app/blobs/sha384:" + strings.Repeat("0", 96), nil, "", "400 DIGEST_INVALID"},
		{"sha1", "admin", "POST /v2/alice/app/blobs/uploads/?digest=sha1:" + strings.Repeat("0", 40), nil, "x", "400 DIGEST_INVALID"},
		{"blake3", "admin", "POST /v2/alice/app/blobs/uploads/?digest-algorithm=blake3", nil, "", "400 DIGEST_INVALID"},
		{"no digest at all", "admin", "GET /v2/alice/app/blobs/v1", nil, "", "400 DIGEST_INVALID"},
		{"a mount of what is no digest", "admin", "POST /v2/alice/app/blobs/uploads/?mount=../x&from=bob/app", nil, "", "400 DIGEST_INVALID"},
		{"another's word for the bytes", "admin", "PUT /v2/alice/app/manifests/NOTHING", nil, "{}", "400 DIGEST_INVALID"},
		{"a blob that is another", "admin", "POST /v2/alice/app/blobs/uploads/?digest=NOTHING", nil, "something", "400 DIGEST_INVALID"},
	})
	v.wantSame(t, before)
}

// trap is an address that nobody may connect to.
func trap(t *testing.T) (addr string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var sprung atomic.Int32
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			sprung.Add(1)
			connection.Close()
		}
	}()
	t.Cleanup(func() {
		listener.Close()
		<-done
		if n := sprung.Load(); n > 0 {
			t.Errorf("%s was dialled %d times", addr, n)
		}
	})
	return listener.Addr().String()
}

// TestNoClientSaysWhoIsDialled: a client that names an address, by ns or in front of a path, has nobody connect to it. What
// the mirror dials elsewhere goes to a proxy, which is a trap as well.
func TestNoClientSaysWhoIsDialled(t *testing.T) {
	here, proxy := trap(t), "http://"+trap(t)
	_, port, _ := net.SplitHostPort(here)
	hub := startUpstream(t)
	env := environment(t, "HTTP_PROXY="+proxy, "http_proxy="+proxy, "HTTPS_PROXY="+proxy, "https_proxy="+proxy)
	v := &victim{startMirrorWith(t, env, testport.Address(t), filepath.Join(tempDir(t), "data"), mirrorOf(hub), "--known-upstreams=false", "--retry-for=0s"), "", map[string]string{}}
	before := v.holdings(t)
	zeros := strings.Repeat("0", 64)
	var attempts []attempt
	for _, tt := range []struct{ host, want string }{
		{here, "404 UNKNOWN"}, {"localhost:" + port, "404 UNKNOWN"}, {"10.255.255.1", "404 UNKNOWN"}, {"10.255.255.1:443", "404 UNKNOWN"},
		{"169.254.169.254", "404 UNKNOWN"}, {"evil.example", "404 UNKNOWN"}, {"evil.example:80", "404 UNKNOWN"}, {"0", "404 UNKNOWN"}, {"0x7f000001:" + port, "404 UNKNOWN"},
		{"2130706433:" + port, "404 UNKNOWN"}, {"[::1]:" + port, "404 UNKNOWN"}, {"ghcr.io", "404 UNKNOWN"}, {"docker.io.evil.example", "404 UNKNOWN"},
		{"docker.io:" + port, "404 UNKNOWN"}, {"[::ffff:127.0.0.1]:" + port, "400 NAME_INVALID"},
		{"user@" + here, "400 NAME_INVALID"}, {"docker.io@" + here, "400 NAME_INVALID"}, {"user:password@" + here, "400 NAME_INVALID"},
		{"http://" + here, "400 NAME_INVALID"}, {"https://" + here, "400 NAME_INVALID"}, {"file:///etc/passwd", "400 NAME_INVALID"}, {"gopher://" + here, "400 NAME_INVALID"},
		{"unix:/run/docker.sock", "400 NAME_INVALID"}, {"//" + here, "400 NAME_INVALID"}, {here + "/", "400 NAME_INVALID"}, {here + "/x", "400 NAME_INVALID"}, {here + "%23", "400 NAME_INVALID"},
		{here + "%3f", "400 NAME_INVALID"}, {"docker.io%00" + here, "400 NAME_INVALID"}, {"docker.io%0d%0aHost:%20" + here, "400 NAME_INVALID"}, {"docker.io%2f" + here, "400 NAME_INVALID"},
		{"docker.io%20" + here, "400 NAME_INVALID"}, {"docker.io,", "400 NAME_INVALID"}, {"..", "400 NAME_INVALID"}, {"docker..io", "400 NAME_INVALID"}, {strings.Repeat("a", 300), "400 NAME_INVALID"},
		{"d%C3%B6cker.io", "400 NAME_INVALID"}, {"docker%E3%80%82io", "400 NAME_INVALID"}, {"[fe80::1%25eth0]", "400 NAME_INVALID"}, {"127.0.0.1:0" + port, "400 NAME_INVALID"}, {"docker.io.", "400 NAME_INVALID"},
	} {
		for _, request := range []string{"GET /v2/library/x/manifests/1?ns=", "HEAD /v2/library/x/manifests/1?ns=", "GET /v2/library/x/blobs/sha256:" + zeros + "?ns=", "GET /v2/library/x/referrers/sha256:" + zeros + "?ns=", "GET /v2/library/x/tags/list?ns="} {
			want := tt.want
			if strings.HasPrefix(request, "HEAD") {
				want, _, _ = strings.Cut(want, " ")
			}
			if strings.Contains(request, "/referrers/") && strings.HasPrefix(want, "404") {
				want = `200 "manifests":[]`
			}
			attempts = append(attempts, attempt{fmt.Sprintf("%.90s", request+tt.host), "", request + tt.host, nil, "", want})
		}
		if strings.ContainsAny(tt.host, ".:") && !strings.ContainsAny(tt.host, "%") && !strings.Contains(tt.host, "/") {
			attempts = append(attempts, attempt{"in front: " + tt.host, "", "GET /v2/" + tt.host + "/library/x/manifests/1", nil, "", tt.want})
		}
	}
	for _, header := range []string{"Host: " + here, "X-Forwarded-Host: " + here, "Forwarded: host=" + here, "X-Original-Host: " + here, "X-Host: " + here, "OCI-Namespace: " + here} {
		attempts = append(attempts, attempt{header, "", "GET /v2/ghcr.io/x/y/manifests/1", []string{header}, "", "404 MANIFEST_UNKNOWN"})
	}
	attempts = append(attempts, attempt{"a proxy's request", "", "GET http://" + here + "/v2/ghcr.io/x/y/manifests/1", nil, "", "404 MANIFEST_UNKNOWN"},
		attempt{"a tunnel", "", "CONNECT " + here, nil, "", "404 NAME_UNKNOWN"},
		attempt{"another scheme", "", "GET ftp://" + here + "/v2/ghcr.io/x/y/manifests/1", nil, "", "404 MANIFEST_UNKNOWN"})
	v.refuses(t, attempts)
	v.wantSame(t, before)
	if got := v.must(t, 200, "", "GET", "/metrics", nil, "").body; strings.Contains(got, "mirror_upstream_requests_total{") || strings.Contains(got, "mirror_upstream_errors_total{") {
		t.Error("an upstream was asked for what it is not for")
	}
	var wants []struct {
		Ref string `json:"reference"`
	}
	v.askJSON(t, &wants, "wants")
	for _, want := range wants {
		if !strings.Contains(want.Ref, "/library/x") && !strings.Contains(want.Ref, "/x/y") {
			t.Errorf("%s is wanted", want.Ref)
		}
	}
}

// TestWhoMayNotPullHasNothingFetched: what is refused is not asked an upstream for either, and nobody wants it.
func TestWhoMayNotPullHasNothingFetched(t *testing.T) {
	dir := tempDir(t)
	file := writeFile(t, dir, "mirror.yaml", fmt.Sprintf(`knownUpstreams: false
retryFor: 0s
upstreams: [{host: docker.io, endpoints: [{url: "http://%s"}]}, {host: ghcr.io, endpoints: [{url: "http://%s"}]}]
auth:
  htpasswdFile: %s
  rules:
    - {users: [anonymous], repositories: ["public/**", "ghcr.io/public/**"], actions: [pull]}
    - {users: [bob], repositories: ["bob/**"], actions: [push]}
`, trap(t), trap(t), users(t, dir, "bob")))
	v := &victim{startMirror(t, "--config", file), "", map[string]string{"NOTHING": "sha256:" + strings.Repeat("0", 64)}}
	before := v.holdings(t)
	var attempts []attempt
	for _, repo := range []string{"library/closed", "closed", "ghcr.io/closed/app", "docker.io/library/closed", "publicity/app"} {
		for _, request := range []string{"GET /v2/%s/manifests/1", "HEAD /v2/%s/manifests/1", "GET /v2/%s/manifests/NOTHING", "GET /v2/%s/blobs/NOTHING", "HEAD /v2/%s/blobs/NOTHING", "GET /v2/%s/tags/list", "GET /v2/%s/referrers/NOTHING"} {
			request := strings.Replace(request, "%s", repo, 1)
			attempts = append(attempts, attempt{request, "", request, nil, "", "401"}, attempt{request + " by bob", "bob", request, nil, "", "403"},
				attempt{request + " by a name for it", "", request + "?ns=ghcr.io", nil, "", "401"})
		}
		attempts = append(attempts, attempt{"a mount from " + repo, "bob", "POST /v2/bob/app/blobs/uploads/?mount=NOTHING&from=" + repo, nil, "", "202"})
	}
	v.refuses(t, append(attempts,
		attempt{"what one may only push", "bob", "GET /v2/bob/app/manifests/1", nil, "", "403 DENIED"},
		attempt{"a mount from anywhere", "bob", "POST /v2/bob/app/blobs/uploads/?mount=NOTHING", nil, "", "202"},
		attempt{"an image of blobs that are not there", "bob", "PUT /v2/bob/app/manifests/1", nil, fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,`+
			`"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"NOTHING","size":2},"layers":[]}`, imageType), "404 MANIFEST_BLOB_UNKNOWN"},
		attempt{"an index of what is not there", "", "PUT /v2/public/app/manifests/1", nil, fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[]}`, indexType), "401 UNAUTHORIZED"},
	))
	v.wantSame(t, before)
	if wants := v.ask(t, "wants", "--json"); strings.Contains(wants, "closed") || strings.Contains(wants, "NOTHING") {
		t.Errorf("what was refused is wanted: %s", wants)
	}
}
