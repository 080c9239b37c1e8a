//go:build e2e

package e2e_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// changing is a mirror of which everything that can change while it runs is changed.
type changing struct {
	*server
	certs     *certificates
	upstreams []*upstream
	file      string // of its settings
	users     string
}

func startChanging(t *testing.T) *changing {
	t.Helper()
	dir := tempDir(t)
	c := &changing{certs: newCertificates(t, "127.0.0.1"), upstreams: []*upstream{startUpstream(t), startUpstream(t)}}
	c.users, c.file = users(t, dir, "alice", "bob"), filepath.Join(dir, "mirror.yaml")
	hello := helloIndex(t, ociFormat, "hello from the hub")
	for _, hub := range c.upstreams {
		push(t, hello, hub.addr+"/library/airmirror-hello:1")
	}
	c.write(t, 0, "")
	c.server = c.certs.startTLS(t, environment(t), "--config", c.file)
	return c
}

// write writes the settings of a round, which are others than those of the one before, with more lines of configuration.
func (c *changing) write(t *testing.T, round int, more string) {
	t.Helper()
	writeFile(t, filepath.Dir(c.file), filepath.Base(c.file), fmt.Sprintf(`tagTTL: 1ms
logLevel: %[1]s
accessLog: %[2]t
knownUpstreams: false
upstreams: [{host: docker.io, endpoints: [{url: "http://%[3]s"}]}]
limits: {requests: %[4]d, requestsPerSecond: %[5]d, burst: 100000, pushRequests: %[6]d, stallTimeout: %[7]ds}
audit: {file: %[8]s}
gc: {grace: %[9]dh}
tls: {clientCAFile: %[10]s}
auth:
  htpasswdFile: %[11]s
  groups: {extras: [extra-%[12]d]}
  rules:
    - {users: [anonymous], repositories: ["library/**", "public/**"], actions: [pull]}
    - {users: [alice], repositories: ["team/**", "public/**", "private/**"], actions: [pull, push, delete]}
    - {users: [bob, node-7], repositories: ["private/**"], actions: [pull]}
    - {groups: [extras], repositories: ["private/**"], actions: [pull]}
%[13]s`, []string{"info", "warn"}[round%2], round%3 == 1, c.upstreams[round%2].addr, 8000-round, 100_000*(round%2), 1000*(round%3), 100+round,
		filepath.Join(filepath.Dir(c.file), fmt.Sprintf("audit-%d", round%2)), 100+round, c.certs.ca(), c.users, round, more))
}

// reload has the mirror take up its settings, in one of the two ways, and waits until it has.
func (c *changing) reload(t *testing.T, round int) {
	t.Helper()
	if round%2 == 0 {
		if said := c.ask(t, "reload"); !strings.Contains(said, "auth.groups") {
			t.Errorf("in round %d mirror reload says %q", round, said)
		}
		return
	}
	c.write(t, round, fmt.Sprintf("    - {users: [hung-up-%d], repositories: [x], actions: [pull]}\n", round))
	if err := c.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
}

// asks returns the status of a request by a user for a manifest, from an address of this machine.
func (c *changing) asks(t *testing.T, user, repo, from string) int {
	t.Helper()
	by := &http.Transport{TLSClientConfig: c.certs.trusting(t), DisableKeepAlives: true,
		DialContext: (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}).DialContext}
	request, err := http.NewRequest(http.MethodHead, "https://"+c.addr+"/v2/"+repo+"/manifests/1", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", basicAuth(user))
	response, err := by.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	return response.StatusCode
}

// round changes everything once.
func (c *changing) round(t *testing.T, round int) {
	t.Helper()
	extra := func(round int) string { return fmt.Sprintf("extra-%d", round) }
	const elsewhere = "127.0.0.2" // or too many of its logins fail for those who work
	wait := func(what string, user string, want int) {
		t.Helper()
		eventually(t, what, func() error {
			if got := c.asks(t, user, "private/app", elsewhere); got != want {
				return fmt.Errorf("in round %d %s gets %d, want %d", round, user, got, want)
			}
			return nil
		})
	}
	run(t, environment(t), "sh", "-c", fmt.Sprintf("echo %s | %s user add %s --password-stdin --htpasswd %s", passwordOf(extra(round)), mirrorBin, extra(round), c.users))
	c.certs.renew(t)
	c.write(t, round, "")
	c.reload(t, round)
	wait("a new user and a new rule count", extra(round), 200)
	if round > 1 {
		wait("the old rule is gone", extra(round-1), 403)
		run(t, environment(t), mirrorBin, "user", "rm", extra(round-1), "--htpasswd", c.users)
		wait("the user is gone", extra(round-1), 401)
	}
	c.write(t, round+1000, "    - {users: [alice], repositories: ['['], actions: [everything]}\n")
	refuses(t, environment(t), "the settings are unchanged", mirrorBin, "reload", "--data", c.data)
	wait("what held before a mistake holds", extra(round), 200)
}

// works are what clients do, again and again, while everything changes. Each has its own connections.
func (c *changing) works(t *testing.T) map[string]func(turn int) error {
	t.Helper()
	cert, key := c.certs.client(t, "node-7")
	transport := func(files ...string) *http.Transport {
		by := &http.Transport{TLSClientConfig: c.certs.trusting(t, files...), ForceAttemptHTTP2: true}
		t.Cleanup(by.CloseIdleConnections)
		return by
	}
	as := func(user string) remote.Option {
		return remote.WithAuth(&authn.Basic{Username: user, Password: passwordOf(user)})
	}
	anonymous, alice, bob, node, kept := transport(), transport(), transport(), transport(cert, key), transport()
	plain := transport()
	plain.ForceAttemptHTTP2 = false
	get := func(by *http.Transport, user, path string) error {
		request, err := http.NewRequest(http.MethodGet, "https://"+c.addr+path, nil)
		if err != nil {
			return err
		}
		if user != "" {
			request.Header.Set("Authorization", basicAuth(user))
		}
		response, err := by.RoundTrip(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err == nil && response.StatusCode != http.StatusOK {
			err = fmt.Errorf("GET %s: %s %s", path, response.Status, body)
		}
		return err
	}
	return map[string]func(turn int) error{
		"anybody pulls what is mirrored": func(turn int) error {
			if turn%5 == 0 { // by a new connection
				anonymous.CloseIdleConnections()
			}
			return pullAll(anonymous, c.addr+"/library/airmirror-hello:1")
		},
		"anybody pulls what was pushed": func(int) error { return pullAll(plain, c.addr+"/public/app:1") },
		"alice pushes, and pulls it": func(turn int) error {
			index, err := random.Index(5000, 2, 2)
			if err != nil {
				return err
			}
			reference := fmt.Sprintf("%s/team/app:%d", c.addr, turn%10)
			ref, err := name.ParseReference(reference)
			if err != nil {
				return err
			}
			if err := remote.WriteIndex(ref, index, as("alice"), remote.WithTransport(alice)); err != nil {
				return err
			}
			return pullAll(alice, reference, as("alice"))
		},
		"bob logs in and pulls": func(int) error { return pullAll(bob, c.addr+"/private/app:1", as("bob")) },
		"node-7 shows its certificate": func(turn int) error {
			if turn%5 == 0 {
				node.CloseIdleConnections()
			}
			return get(node, "", "/v2/private/app/manifests/1")
		},
		"bob shows his password with each request": func(int) error {
			return errors.Join(get(kept, "bob", "/v2/private/app/manifests/1"), get(kept, "bob", "/v2/_catalog"), get(kept, "bob", "/v2/library/airmirror-hello/tags/list"))
		},
	}
}

// TestEverythingChangesUnderLoad: what a client might do before and after a change it may do in between, and a change counts
// as soon as it was made.
func TestEverythingChangesUnderLoad(t *testing.T) {
	const rounds, leastTurns = 4, 10
	c := startChanging(t)
	works := c.works(t)
	by := &http.Transport{TLSClientConfig: c.certs.trusting(t)}
	for _, repo := range []string{"public/app", "private/app"} {
		pushTo(t, by, helloIndex(t, ociFormat, repo), c.addr+"/"+repo+":1", remote.WithAuth(&authn.Basic{Username: "alice", Password: passwordOf("alice")}))
	}

	slow := c.startSlow(t)
	working, stop := context.WithCancel(t.Context())
	defer stop()
	var round atomic.Int32
	var clients sync.WaitGroup
	for what, work := range works {
		clients.Go(func() {
			turn := 0
			for ; (working.Err() == nil || turn < leastTurns) && !t.Failed(); turn++ {
				if err := work(turn); err != nil {
					t.Errorf("in round %d, %s: %v", round.Load(), what, err)
				}
			}
			t.Logf("%s: %d times", what, turn)
		})
	}
	defer clients.Wait()
	defer stop()
	for range rounds {
		if t.Failed() {
			return
		}
		c.round(t, int(round.Add(1)))
		slow.goOn(t)
	}
	c.write(t, rounds, "")
	var storm sync.WaitGroup
	for range 4 {
		storm.Go(func() {
			_ = c.cmd.Process.Signal(syscall.SIGHUP) // it runs: its commands are answered
			if r := try(t, environment(t), mirrorBin, "reload", "--data", c.data); r.code != 0 {
				t.Errorf("one of several reloads ends with %d: %s", r.code, r.stderr)
			}
		})
	}
	storm.Wait()
	slow.end(t)
	stop()
	clients.Wait()
	c.wantSame(t, c.holdings(t))
	c.stopCleanly(t)
}

// slow is a large layer that comes and goes while everything changes, piece by piece.
type slow struct {
	c       *changing
	content []byte // of what is uploaded
	sent    int
	body    *io.PipeWriter
	upload  chan error
	read    io.ReadCloser
	hash    hash.Hash
	want    string // the digest of what is downloaded
}

// startSlow begins to pull through the mirror and to push to it.
func (c *changing) startSlow(t *testing.T) *slow {
	t.Helper()
	index, layer := bigIndex(t, 64<<20)
	push(t, index, c.upstreams[0].addr+"/library/airmirror-big:1") // the other one will not have it
	s := &slow{c: c, content: bytes.Repeat([]byte("up "), 4<<20), upload: make(chan error, 1), hash: sha256.New(), want: layer.String()}
	by := &http.Client{Transport: &http.Transport{TLSClientConfig: c.certs.trusting(t)}}
	t.Cleanup(by.CloseIdleConnections)
	get, err := by.Get("https://" + c.addr + "/v2/library/airmirror-big/blobs/" + s.want)
	if err != nil || get.StatusCode != http.StatusOK {
		t.Fatal(get, err)
	}
	s.read = get.Body
	t.Cleanup(func() { s.read.Close() })

	var body *io.PipeReader
	body, s.body = io.Pipe()
	t.Cleanup(func() { s.body.Close() })
	request, err := http.NewRequest(http.MethodPost, fmt.Sprintf("https://%s/v2/team/slow/blobs/uploads/?digest=sha256:%x", c.addr, sha256.Sum256(s.content)), body)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", basicAuth("alice"))
	go func() {
		response, err := by.Do(request)
		if err == nil {
			response.Body.Close()
			if response.StatusCode != http.StatusCreated {
				err = errors.New(response.Status)
			}
		}
		body.CloseWithError(errors.Join(err, io.ErrClosedPipe)) // the writer gets the error
		s.upload <- err
	}()
	s.goOn(t)
	return s
}

// goOn has a little more come, and go.
func (s *slow) goOn(t *testing.T) {
	t.Helper()
	const piece = 1 << 20
	if _, err := io.CopyN(s.hash, s.read, piece); err != nil {
		t.Errorf("a slow pull broke off: %v", err)
	}
	n, err := s.body.Write(s.content[s.sent : s.sent+piece])
	if s.sent += n; err != nil {
		t.Errorf("a slow push broke off after %d bytes: %v", s.sent, err)
	}
}

// end has the rest come and go.
func (s *slow) end(t *testing.T) {
	t.Helper()
	if _, err := io.Copy(s.hash, s.read); err != nil {
		t.Errorf("a slow pull broke off: %v", err)
	}
	if got := fmt.Sprintf("sha256:%x", s.hash.Sum(nil)); got != s.want {
		t.Errorf("a slow pull brought %s, want %s", got, s.want)
	}
	if _, err := s.body.Write(s.content[s.sent:]); err != nil {
		t.Errorf("a slow push broke off: %v", err)
	}
	s.body.Close()
	if err := <-s.upload; err != nil {
		t.Errorf("a slow push: %v", err)
	}
}
