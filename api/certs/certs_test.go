package certs_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"airmirror/api/certs"
)

func TestClientsAcceptMadeCertificates(t *testing.T) {
	dir := t.TempDir()
	made := create(t, dir, "reg.example", "10.0.0.5", "::1")
	if !made.NewAuthority || time.Until(made.Expires) < 24*time.Hour {
		t.Errorf("made %+v", made)
	}
	leaf, pool := read(t, dir)
	for _, host := range []string{"reg.example", "10.0.0.5", "::1"} {
		if _, err := leaf.Verify(x509.VerifyOptions{Roots: pool, DNSName: host, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}); err != nil {
			t.Errorf("for %s: %v", host, err)
		}
	}
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: pool, DNSName: "other.example"}); err == nil {
		t.Error("the certificate is valid for a host that it does not name")
	}
	for _, key := range []string{certs.AuthorityKey, certs.ServerKey} {
		if info, err := os.Stat(filepath.Join(dir, key)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", key, info.Mode(), err)
		}
	}
}

func TestMakeKeepsTheAuthority(t *testing.T) {
	dir := t.TempDir()
	create(t, dir, "one.example")
	_, pool := read(t, dir)
	if made := create(t, dir, "two.example"); made.NewAuthority {
		t.Error("there is a new authority, which no client knows")
	}
	leaf, _ := read(t, dir)
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: pool, DNSName: "two.example"}); err != nil {
		t.Error(err)
	}
}

func TestMakeKeepsPreviousNames(t *testing.T) {
	dir := t.TempDir()
	create(t, dir, "one.example", "10.0.0.5")
	for _, step := range []struct {
		hosts         []string
		only          bool
		want, dropped []string
	}{
		{[]string{"two.example"}, false, []string{"one.example", "10.0.0.5", "two.example"}, nil},
		{nil, false, []string{"one.example", "two.example", "10.0.0.5"}, nil},
		{[]string{"two.example"}, true, []string{"two.example"}, []string{"one.example", "10.0.0.5"}},
	} {
		made, err := certs.Make(dir, step.hosts, step.only, time.Hour)
		must(t, err)
		if !slices.Equal(made.Hosts, step.want) || !slices.Equal(made.Dropped, step.dropped) {
			t.Errorf("%+v: for %q, dropped %q", step, made.Hosts, made.Dropped)
		}
		leaf, pool := read(t, dir)
		for _, host := range step.want {
			if _, err := leaf.Verify(x509.VerifyOptions{Roots: pool, DNSName: host}); err != nil {
				t.Errorf("%+v: %v", step, err)
			}
		}
		for _, host := range step.dropped {
			if leaf.VerifyHostname(host) == nil {
				t.Errorf("%+v: the certificate still names %s", step, host)
			}
		}
	}
}

// TestAuthorityThatIsNotYetValid checks that such an authority signs nothing: its certificates would not be valid
// either, or the clock is wrong.
func TestAuthorityThatIsNotYetValid(t *testing.T) {
	dir := t.TempDir()
	create(t, dir, "one.example")
	synctest.Test(t, func(t *testing.T) { // the clock starts in the year 2000
		if _, err := certs.Make(dir, nil, false, time.Hour); err == nil || !strings.Contains(err.Error(), "not valid before") {
			t.Errorf("%v", err)
		}
	})
}

// TestRenewedKeyKeepsOwnerAndGroup: the server often runs as another user than the command.
func TestRenewedKeyKeepsOwnerAndGroup(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("this system has no groups of files")
	}
	dir := t.TempDir()
	create(t, dir, "reg.example")
	key, authority := filepath.Join(dir, certs.ServerKey), filepath.Join(dir, certs.AuthorityKey)
	must(t, os.Chmod(key, 0o644))
	if os.Getuid() == 0 {
		must(t, os.Chown(key, 12345, 23456))
	}
	before, err := os.Stat(key)
	must(t, err)
	create(t, dir, "reg.example")
	for path, want := range map[string]os.FileMode{key: 0o640, authority: 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v, want %v", path, info.Mode(), err, want)
		}
	}
	after, err := os.Stat(key)
	must(t, err)
	if os.SameFile(before, after) {
		t.Error("the key was not renewed")
	}
	owner := func(info os.FileInfo) [2]uint64 {
		sys := reflect.ValueOf(info.Sys()).Elem()
		return [2]uint64{sys.FieldByName("Uid").Uint(), sys.FieldByName("Gid").Uint()}
	}
	if owner(before) != owner(after) {
		t.Errorf("the key belongs to %v, and before to %v", owner(after), owner(before))
	}
}

func TestInvalidCertificateRequests(t *testing.T) {
	for name, hosts := range map[string][]string{"no host": nil, "a URL": {"https://reg.example"}, "a port": {"reg.example:5000"}, "empty": {""}} {
		if _, err := certs.Make(t.TempDir(), hosts, false, time.Hour); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	dir := t.TempDir()
	create(t, dir, "reg.example")
	must(t, os.Remove(filepath.Join(dir, certs.AuthorityCert)))
	if _, err := certs.Make(dir, []string{"reg.example"}, false, time.Hour); err == nil || !strings.Contains(err.Error(), certs.AuthorityCert) {
		t.Errorf("with half an authority: %v", err)
	}
}

// TestServerUsesAChangedCertificate checks that new connections use it, that open connections continue, and that a
// malformed certificate is ignored.
func TestServerUsesAChangedCertificate(t *testing.T) {
	dir := t.TempDir()
	create(t, dir, "127.0.0.1")
	follower, err := certs.Watch(files(dir), nil)
	must(t, err)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") }))
	server.TLS = follower.Config()
	server.StartTLS()
	defer server.Close()
	_, pool := read(t, dir)
	open := client(pool)
	first := serial(t, open, server.URL)

	create(t, dir, "127.0.0.1")
	use, err := follower.Prepare(files(dir))
	must(t, err)
	use()
	if got := serial(t, open, server.URL); got != first {
		t.Error("an open connection was not kept")
	}
	second := serial(t, client(pool), server.URL)
	if second == first {
		t.Error("a new connection gets the old certificate")
	}

	must(t, os.WriteFile(filepath.Join(dir, certs.ServerKey), []byte("broken"), 0o600))
	if _, err := follower.Prepare(files(dir)); err == nil {
		t.Error("a malformed key was loaded without an error")
	}
	if got := serial(t, client(pool), server.URL); got != second {
		t.Error("after a malformed key, the server presents another certificate")
	}

	other := t.TempDir() // signed by another authority
	create(t, other, "127.0.0.1")
	use, err = follower.Prepare(files(other))
	must(t, err)
	if serial(t, client(pool), server.URL) != second {
		t.Error("prepared files are in use before use was called")
	}
	use()
	_, otherPool := read(t, other)
	third := serial(t, client(otherPool), server.URL)
	if _, err := follower.Prepare(files(t.TempDir())); err == nil {
		t.Error("missing files were loaded without an error")
	}
	if got := serial(t, client(otherPool), server.URL); third == second || got != third {
		t.Error("the server does not present the certificate of the new files")
	}
}

func TestClientCertificates(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	create(t, dir, "127.0.0.1")
	create(t, other, "127.0.0.1")
	for _, folder := range []string{dir, other} {
		_, err := certs.MakeClient(folder, "node-1", time.Hour)
		must(t, err)
	}
	_, pool := read(t, dir)
	for name, tt := range map[string]struct {
		require bool
		from    string // folder of the client's certificate
		ok      bool
	}{
		"none, not required": {false, "", true}, "none, required": {true, "", false},
		"a good one": {true, dir, true}, "one of others": {false, other, false},
	} {
		f := files(dir)
		f.ClientCA, f.RequireClient = filepath.Join(dir, certs.AuthorityCert), tt.require
		follower, err := certs.Watch(f, nil)
		must(t, err)
		server := httptest.NewUnstartedServer(http.NotFoundHandler())
		server.TLS = follower.Config()
		server.Config.ErrorLog = nil
		server.StartTLS()
		c := client(pool)
		if tt.from != "" {
			cert, err := tls.LoadX509KeyPair(filepath.Join(tt.from, "node-1.crt"), filepath.Join(tt.from, "node-1.key"))
			must(t, err)
			transport := c.Transport.(*http.Transport)
			transport.TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil }
		}
		resp, err := c.Get(server.URL)
		if err == nil {
			resp.Body.Close()
		}
		if (err == nil) != tt.ok {
			t.Errorf("%s: %v", name, err)
		}
		server.Close()
	}
}

func create(t *testing.T, dir string, hosts ...string) certs.Result {
	t.Helper()
	made, err := certs.Make(dir, hosts, false, 48*time.Hour)
	must(t, err)
	return made
}

func files(dir string) certs.Files {
	return certs.Files{Cert: filepath.Join(dir, certs.ServerCert), Key: filepath.Join(dir, certs.ServerKey)}
}

// read returns the server's certificate and its authority.
func read(t *testing.T, dir string) (*x509.Certificate, *x509.CertPool) {
	t.Helper()
	cert, err := tls.LoadX509KeyPair(filepath.Join(dir, certs.ServerCert), filepath.Join(dir, certs.ServerKey))
	must(t, err)
	authority, err := os.ReadFile(filepath.Join(dir, certs.AuthorityCert))
	must(t, err)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(authority)
	return cert.Leaf, pool
}

func client(pool *x509.CertPool) *http.Client {
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
}

// serial returns the serial number of the server's certificate.
func serial(t *testing.T, c *http.Client, url string) string {
	t.Helper()
	resp, err := c.Get(url)
	must(t, err)
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	must(t, err)
	return resp.TLS.PeerCertificates[0].SerialNumber.String()
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestWarningAboutUnusableCertificate(t *testing.T) {
	for name, tt := range map[string]struct {
		life time.Duration
		want string
	}{
		"good":         {365 * 24 * time.Hour, ""},
		"near its end": {48 * time.Hour, "it expires on"},
		"expired":      {-time.Minute, "it expired on"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			made, err := certs.Make(dir, []string{"reg.example"}, false, tt.life)
			must(t, err)
			core, logs := observer.New(zap.WarnLevel)
			f, err := certs.Watch(files(dir), zap.New(core))
			must(t, err)
			if got := f.Expires(); !got.Equal(made.Expires.Truncate(time.Second)) {
				t.Errorf("expires %s, want %s", got, made.Expires)
			}
			var got string
			for _, entry := range logs.All() {
				got += entry.ContextMap()["reason"].(string)
			}
			if (got == "") != (tt.want == "") || !strings.HasPrefix(got, tt.want) {
				t.Errorf("the warning is %q, want %q", got, tt.want)
			}
		})
	}
}
