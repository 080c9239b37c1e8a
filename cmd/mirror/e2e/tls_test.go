//go:build e2e

package e2e_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"airmirror/cmd/mirror/testport"

	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
)

// certificates are a folder that `mirror cert` writes into.
type certificates struct {
	dir   string
	hosts string
}

func newCertificates(t *testing.T, hosts string) *certificates {
	t.Helper()
	c := &certificates{filepath.Join(tempDir(t), "certs"), hosts}
	c.renew(t)
	return c
}

// renew has the server's certificate made, again.
func (c *certificates) renew(t *testing.T) {
	t.Helper()
	run(t, environment(t), mirrorBin, "cert", "--dir", c.dir, "--host", c.hosts, "--only") // also where the one before is broken
}

// client has a client's certificate made, and returns its files.
func (c *certificates) client(t *testing.T, name string) (cert, key string) {
	t.Helper()
	run(t, environment(t), mirrorBin, "cert", "--dir", c.dir, "--client", name)
	return filepath.Join(c.dir, name+".crt"), filepath.Join(c.dir, name+".key")
}

func (c *certificates) ca() string { return filepath.Join(c.dir, "ca.crt") }

// flags have a mirror serve with them.
func (c *certificates) flags() []string {
	return []string{"--tls-cert-file", filepath.Join(c.dir, "server.crt"), "--tls-key-file", filepath.Join(c.dir, "server.key")}
}

// trusting is how a client connects that trusts the authority, and shows a certificate if it is given the files of one.
func (c *certificates) trusting(t *testing.T, files ...string) *tls.Config {
	t.Helper()
	authority, err := os.ReadFile(c.ca())
	if err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{RootCAs: x509.NewCertPool()}
	config.RootCAs.AppendCertsFromPEM(authority)
	if len(files) > 0 {
		pair, err := tls.LoadX509KeyPair(files[0], files[1])
		if err != nil {
			t.Fatal(err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config
}

// startTLS starts a mirror that serves by TLS on loopback.
func (c *certificates) startTLS(t *testing.T, env []string, flags ...string) *server {
	t.Helper()
	s := &server{addr: testport.Address(t), data: filepath.Join(tempDir(t), "data")}
	s.process = start(t, env, serve(s.addr, s.data, append(c.flags(), flags...)...)...)
	s.waitUntil(t, func() error {
		connection, err := net.Dial("tcp", s.addr)
		if err == nil {
			connection.Close()
		}
		return err
	})
	return s
}

// place is a machine of its own as far as Docker can tell: it has an address that is not loopback, to which Docker wants
// TLS to be right, and folders of certificates that are not this machine's.
type place struct {
	inside, prefix []string
	addr, certs    string
}

// distant is the address of the mirror in a place.
const distant = "10.77.0.5"

func newPlace(t *testing.T) *place {
	t.Helper()
	p := &place{inside: isolatedNetwork(t), addr: fmt.Sprintf("%s:%d", distant, testport.Free(t))}
	run(t, environment(t), append(p.inside, "ip", "address", "add", distant+"/32", "dev", "lo")...)
	etc := tempDir(t)
	p.certs = filepath.Join(etc, "certs.d", p.addr)
	// Docker has no setting for where it looks for certificates: it gets an /etc/docker of its own.
	p.prefix = append(p.inside, "unshare", "--mount", "sh", "-c", `mkdir -p /etc/docker && mount --bind "$0" /etc/docker && NO_PROXY=`+distant+` exec "$@"`, etc)
	return p
}

// trusts has Docker trust an authority, and show a certificate if it is given the files of one.
func (p *place) trusts(t *testing.T, c *certificates, files ...string) {
	t.Helper()
	if err := os.RemoveAll(p.certs); err != nil {
		t.Fatal(err)
	}
	for i, from := range append([]string{c.ca()}, files...) {
		text, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, p.certs, []string{"ca.crt", "client.cert", "client.key"}[i], string(text))
	}
}

// start starts a mirror in the place, by TLS, on a data folder.
func (p *place) start(t *testing.T, c *certificates, data, config string) *server {
	t.Helper()
	file := writeFile(t, tempDir(t), "mirror.yaml", fmt.Sprintf("offline: true\ntls: {certFile: %s/server.crt, keyFile: %[1]s/server.key%s}\n", c.dir, config))
	s := &server{addr: p.addr, data: data}
	s.process = start(t, environment(t), append(p.inside, serve(p.addr, data, "--config", file)...)...)
	s.waitUntil(t, func() error {
		if r := try(t, environment(t), append(p.inside, "curl", "--noproxy", "*", "--silent", "--insecure", "https://"+p.addr+"/healthz")...); r.code != 0 && r.code != 56 { // 56: it wants a certificate
			return fmt.Errorf("curl ends with %d", r.code)
		}
		return nil
	})
	return s
}

// helloArchive writes an image to a file that `docker load` takes.
func helloArchive(t *testing.T, greeting string) (file string) {
	t.Helper()
	dir := tempDir(t)
	path, err := layout.Write(filepath.Join(dir, "layout"), empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	if err := path.AppendIndex(helloIndex(t, ociFormat, greeting)); err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(dir, "hello.tar")
	skopeo(t, "copy", "oci:"+filepath.Join(dir, "layout"), "docker-archive:"+file+":hello:1")
	return file
}

// TestDockerWithThePrivateAuthority: what `mirror cert` makes is all that Docker wants for https. Without the authority it
// is refused, and a certificate that is made again by the same authority changes nothing for it, in the middle of its work.
func TestDockerWithThePrivateAuthority(t *testing.T) {
	need(t, "root", "curl", "unshare", "skopeo")
	p, certs := newPlace(t), newCertificates(t, "reg.example,"+distant)
	mirror := p.start(t, certs, filepath.Join(tempDir(t), "data"), "")
	run(t, environment(t), "sh", "-c", fmt.Sprintf("echo '%s' | %s user add %s --password-stdin --data %s", secret, mirrorBin, robot, mirror.data))
	docker := startDocker(t, p.addr, p.prefix...)
	app := p.addr + "/team/hello:1"
	docker.do(t, "load", "-i", helloArchive(t, "hello by TLS"))
	docker.do(t, "tag", "hello:1", app)
	login := []string{"sh", "-c", fmt.Sprintf("echo '%s' | %s login --username %s --password-stdin %s", secret, dockerClient(), robot, p.addr)}

	refuses(t, docker.env, "certificate signed by unknown authority", dockerClient(), "pull", app)
	refuses(t, docker.env, "certificate signed by unknown authority", login...)
	p.trusts(t, newCertificates(t, distant)) // of somebody else
	refuses(t, docker.env, "certificate signed by unknown authority", dockerClient(), "pull", app)

	p.trusts(t, certs)
	refuses(t, docker.env, "docker login", dockerClient(), "push", app)
	eventually(t, "the robot can log in", func() error {
		if r := try(t, docker.env, login...); r.code != 0 {
			return errors.New(r.stderr)
		}
		return nil
	})
	docker.do(t, "push", app)
	docker.do(t, "logout", p.addr)
	for range 5 {
		certs.renew(t)
		docker.do(t, "image", "rm", app)
		docker.do(t, "pull", app)
	}
	docker.prints(t, app, "hello by TLS")
	// Plain HTTP gets nothing there.
	if r := try(t, environment(t), append(p.inside, "curl", "--noproxy", "*", "--silent", "--write-out", "%{http_code}", "http://"+p.addr+"/v2/")...); !strings.Contains(r.stdout, "HTTPS") || !strings.HasSuffix(r.stdout, "400") {
		t.Errorf("without TLS it says %q", r.stdout)
	}
}

// TestDockerShowsACertificate: where it must, and where it may; its name is a user's, with nothing to log in to.
func TestDockerShowsACertificate(t *testing.T) {
	need(t, "root", "curl", "unshare", "skopeo")
	p, certs := newPlace(t), newCertificates(t, distant)
	cert, key := certs.client(t, "node-7")
	others := newCertificates(t, distant)
	otherCert, otherKey := others.client(t, "node-7")
	data := filepath.Join(tempDir(t), "data")
	mirror := p.start(t, certs, data, ", clientCAFile: "+certs.ca()+", requireClientCert: true")
	docker := startDocker(t, p.addr, p.prefix...)
	app, other := p.addr+"/team/hello:1", p.addr+"/other/hello:1"
	docker.do(t, "load", "-i", helloArchive(t, "hello, node 7"))
	for _, name := range []string{app, other} {
		docker.do(t, "tag", "hello:1", name)
	}
	pull := func() {
		t.Helper()
		docker.do(t, "image", "rm", app)
		docker.do(t, "pull", app)
	}

	p.trusts(t, certs)
	refuses(t, docker.env, "", dockerClient(), "pull", app)
	refuses(t, docker.env, "", dockerClient(), "push", app)
	mirror.wantLogged(t, "client didn't provide a certificate")
	p.trusts(t, certs, otherCert, otherKey)
	refuses(t, docker.env, "", dockerClient(), "pull", app)
	mirror.wantLogged(t, "certificate signed by unknown authority")
	p.trusts(t, certs, cert, key)
	docker.do(t, "push", app)
	pull()
	mirror.stopCleanly(t)

	mirror = p.start(t, certs, data, ", clientCAFile: "+certs.ca()+"}\nauth: {rules: ["+
		"{users: [anonymous], repositories: ['**'], actions: [pull]}, {users: [node-7], repositories: ['team/**'], actions: [push]}]")
	docker.do(t, "push", app)
	refuses(t, docker.env, "denied", dockerClient(), "push", other)
	p.trusts(t, certs)
	pull()
	refuses(t, docker.env, "denied", dockerClient(), "push", app)
	p.trusts(t, certs, otherCert, otherKey)
	refuses(t, docker.env, "", dockerClient(), "pull", app)
	mirror.wantLogged(t, "certificate signed by unknown authority")
}

// TestClientsShowCertificates: curl, crane's library and Go's, on loopback.
func TestClientsShowCertificates(t *testing.T) {
	need(t, "curl")
	certs := newCertificates(t, "127.0.0.1,localhost")
	cert, key := certs.client(t, "node-7")
	otherCert, otherKey := newCertificates(t, "127.0.0.1").client(t, "node-7")
	required := certs.startTLS(t, environment(t, "MIRROR_TLS_CLIENT_CA_FILE="+certs.ca(), "MIRROR_TLS_REQUIRE_CLIENT_CERT=true"), "--offline")
	optional := certs.startTLS(t, environment(t, "MIRROR_TLS_CLIENT_CA_FILE="+certs.ca()), "--offline")
	curl := func(s *server, args ...string) result {
		return try(t, environment(t), append([]string{"curl", "--noproxy", "*", "--silent", "--show-error", "--output", "/dev/null", "--write-out", "%{http_code}", "--cacert", certs.ca()}, append(args, "https://"+s.addr+"/v2/team/app/blobs/uploads/", "-X", "POST")...)...)
	}
	for _, tt := range []struct {
		name   string
		server *server
		args   []string
		want   string // a status, or what curl complains of
	}{
		{"required, none", required, nil, "curl: ("},
		{"required, another authority's", required, []string{"--cert", otherCert, "--key", otherKey, "--tls-max", "1.2"}, "alert unknown ca"},
		{"required, a good one", required, []string{"--cert", cert, "--key", key}, "202"},
		{"required, a good one, TLS 1.2", required, []string{"--cert", cert, "--key", key, "--tls-max", "1.2"}, "202"},
		{"required, none, TLS 1.2", required, []string{"--tls-max", "1.2"}, "alert handshake failure"},
		{"required, a good one, TLS 1.1", required, []string{"--cert", cert, "--key", key, "--tls-max", "1.1"}, "alert protocol version"},
		{"required, a good one, HTTP/1.1", required, []string{"--cert", cert, "--key", key, "--http1.1"}, "202"},
		{"optional, none", optional, nil, "403"},
		{"optional, none, and a proxy's word for one", optional, []string{"-H", "X-SSL-Client-CN: node-7", "-H", "X-Client-Cert: node-7", "-H", "X-Forwarded-Client-Cert: Subject=\"CN=node-7\""}, "403"},
		{"optional, another authority's", optional, []string{"--cert", otherCert, "--key", otherKey, "--tls-max", "1.2"}, "alert unknown ca"},
		{"optional, a good one", optional, []string{"--cert", cert, "--key", key}, "202"},
		{"optional, the server's own", optional, []string{"--cert", filepath.Join(certs.dir, "server.crt"), "--key", filepath.Join(certs.dir, "server.key"), "--tls-max", "1.2"}, "alert"},
	} {
		if r := curl(tt.server, tt.args...); !strings.Contains(r.stdout+r.stderr, tt.want) {
			t.Errorf("%s: curl printed %q, %q, want %s", tt.name, r.stdout, r.stderr, tt.want)
		}
	}
	// Whoever may only look may look, without a certificate, at what one who showed his pushed.
	client := func(files ...string) *http.Transport {
		return &http.Transport{TLSClientConfig: certs.trusting(t, files...)}
	}
	pushTo(t, client(cert, key), helloIndex(t, ociFormat, "hello"), optional.addr+"/team/app:1")
	if err := pullAll(client(), optional.addr+"/team/app:1"); err != nil {
		t.Error(err)
	}
	if r := curl(required, "--cert", otherCert, "--key", otherKey); r.code == 0 { // TLS 1.3 ends the handshake before it looks
		t.Errorf("another authority's certificate: curl printed %q", r.stdout)
	}
	if err := pullAll(client(), required.addr+"/team/app:1"); err == nil {
		t.Error("without a certificate everything can be pulled")
	}
	// The client may be told so, or find its connection closed before it is.
	required.wantLogged(t, "client didn't provide a certificate", "certificate signed by unknown authority")
}

// TestAnAuthorityOfClientsIsReplaced: who was let in by the one before is not let in by a session that was kept from then.
func TestAnAuthorityOfClientsIsReplaced(t *testing.T) {
	certs, others := newCertificates(t, "127.0.0.1"), newCertificates(t, "127.0.0.1")
	cert, key := certs.client(t, "node-7")
	otherCert, otherKey := others.client(t, "node-8")
	clients := writeFile(t, tempDir(t), "clients.crt", readFile(t, certs.ca()))
	mirror := certs.startTLS(t, environment(t, "MIRROR_TLS_CLIENT_CA_FILE="+clients, "MIRROR_TLS_REQUIRE_CLIENT_CERT=true"), "--offline")
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		first, second := certs.trusting(t, cert, key), certs.trusting(t, otherCert, otherKey)
		for _, config := range []*tls.Config{first, second} {
			config.MaxVersion, config.ClientSessionCache = version, tls.NewLRUClientSessionCache(8)
		}
		enters := func(config *tls.Config) (resumed bool, err error) {
			by := &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}
			response, err := (&http.Client{Transport: by}).Get("https://" + mirror.addr + "/v2/")
			if err != nil {
				return false, err
			}
			response.Body.Close()
			return response.TLS.DidResume, nil
		}
		if _, err := enters(first); err != nil {
			t.Fatal(err)
		}
		if resumed, err := enters(first); err != nil || !resumed {
			t.Fatalf("no session was kept: %v", err)
		}
		if _, err := enters(second); err == nil {
			t.Error("the other authority's client is let in too early")
		}
		writeFile(t, filepath.Dir(clients), "clients.crt", readFile(t, others.ca()))
		mirror.ask(t, "reload")
		if resumed, err := enters(first); err == nil {
			t.Errorf("the client of the authority that was replaced is let in, by a session that was kept: %v", resumed)
		}
		if _, err := enters(second); err != nil {
			t.Error(err)
		}
		writeFile(t, filepath.Dir(clients), "clients.crt", readFile(t, certs.ca()))
		mirror.ask(t, "reload")
	}
}

// wantLogged checks that a server says these in its log.
func (p *process) wantLogged(t *testing.T, texts ...string) {
	t.Helper()
	for _, text := range texts {
		eventually(t, p.name+" logs "+text, func() error {
			if !strings.Contains(p.output(t), text) {
				return errors.New("it does not")
			}
			return nil
		})
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
