package auth_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/crypto/bcrypt"

	"airmirror/api/auth"
	"airmirror/api/registry"
	"airmirror/cache"
	"airmirror/mirror/proxy"
)

// site is a registry with a guard and a real store.
type site struct {
	t       *testing.T
	dir     string
	guard   *auth.Guard
	mirror  *proxy.Proxy
	handler http.Handler
}

func newSite(t *testing.T, opts auth.Options) *site {
	t.Helper()
	s := &site{t: t, dir: t.TempDir()}
	store, err := cache.Open(cache.Config{Folder: s.dir})
	must(t, err)
	s.mirror, err = proxy.New(store, nil, proxy.Options{Offline: true, Names: opts.Names})
	must(t, err)
	t.Cleanup(func() {
		must(t, s.mirror.Close(context.WithoutCancel(t.Context())))
		must(t, store.Close())
	})
	s.guard, err = auth.New(opts)
	must(t, err)
	s.handler = s.guard.Handler(registry.New(s.mirror, registry.Options{Authorizer: s.guard}))
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// as changes the sender of a request. The default address is 192.0.2.1.
type as func(*http.Request)

func nobody(*http.Request) {}

func user(name, password string) as {
	return func(r *http.Request) { r.SetBasicAuth(name, password) }
}

func bearer(token string) as {
	return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }
}

func from(address string) as { return func(r *http.Request) { r.RemoteAddr = address } }

var fromLoopback = home("127.0.0.1:4711")

// home is a client on this machine that connects to localhost.
func home(address string) as {
	return func(r *http.Request) { r.RemoteAddr, r.Host = address, "localhost:5000" }
}

// do sends a request.
func (s *site) do(who as, method, path string, body []byte, headers ...string) *httptest.ResponseRecorder {
	s.t.Helper()
	r := httptest.NewRequestWithContext(s.t.Context(), method, path, bytes.NewReader(body))
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	who(r)
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	return w
}

// want sends a request and checks the status.
func (s *site) want(status int, who as, method, path string, body []byte, headers ...string) *httptest.ResponseRecorder {
	s.t.Helper()
	w := s.do(who, method, path, body, headers...)
	if w.Code != status {
		s.t.Errorf("%s %s: %d, want %d\n%s", method, path, w.Code, status, w.Body)
	}
	return w
}

// fill pushes an image to a repository without authorization, and returns its blob and its manifest.
func (s *site) fill(repo string) (blob, manifest digest.Digest) {
	s.t.Helper()
	free := registry.New(s.mirror, registry.Options{})
	send := func(method, path string, body []byte, headers ...string) {
		r := httptest.NewRequestWithContext(s.t.Context(), method, path, bytes.NewReader(body))
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		w := httptest.NewRecorder()
		if free.ServeHTTP(w, r); w.Code != http.StatusCreated {
			s.t.Fatalf("%s %s: %d\n%s", method, path, w.Code, w.Body)
		}
	}
	content := []byte("{\"of\": \"" + repo + "\"}")
	blob = digest.FromBytes(content)
	send("POST", "/v2/"+repo+"/blobs/uploads/?digest="+blob.String(), content)
	m := v1.Manifest{MediaType: v1.MediaTypeImageManifest, Layers: []v1.Descriptor{}, Config: v1.Descriptor{
		MediaType: v1.MediaTypeImageConfig, Digest: blob, Size: int64(len(content)),
	}}
	m.SchemaVersion = 2
	text, err := json.Marshal(m)
	must(s.t, err)
	send("PUT", "/v2/"+repo+"/manifests/1", text, "Content-Type", v1.MediaTypeImageManifest)
	return blob, digest.FromBytes(text)
}

// state returns a description of all stored content, to check that nothing has changed.
func (s *site) state() string {
	s.t.Helper()
	var all []string
	repos, err := s.mirror.Repos(s.t.Context(), "", 1000)
	must(s.t, err)
	for _, name := range repos {
		repo, err := s.mirror.Names().Repo(name, "")
		must(s.t, err)
		tags, err := s.mirror.Tags(s.t.Context(), repo, "", 1000)
		must(s.t, err)
		all = append(all, name+" "+strings.Join(tags.Items, " "))
	}
	must(s.t, filepath.WalkDir(s.dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && filepath.Base(path) != "index.db" {
			all = append(all, path)
		}
		return err
	}))
	return strings.Join(all, "\n")
}

// htpasswd writes a users file. Each password is the name backwards.
func htpasswd(t *testing.T, names ...string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "htpasswd")
	writeUsers(t, path, names...)
	return path
}

func writeUsers(t *testing.T, path string, names ...string) {
	t.Helper()
	text := "# users\n\n"
	for _, name := range names {
		hash, err := bcrypt.GenerateFromPassword([]byte(password(name)), bcrypt.MinCost)
		must(t, err)
		text += name + ":" + string(hash) + "\n"
	}
	must(t, os.WriteFile(path, []byte(text), 0o600))
}

func password(name string) string {
	b := []byte(name)
	slices.Reverse(b)
	return string(b)
}

// known is a user in a file of htpasswd.
func known(name string) as { return user(name, password(name)) }

// token requests a token from the mirror.
func (s *site) token(who as, query string) string {
	s.t.Helper()
	w := s.want(http.StatusOK, who, "GET", auth.TokenPath+query, nil)
	var answer struct{ Token string }
	if err := json.NewDecoder(io.LimitReader(w.Body, 1<<20)).Decode(&answer); err != nil || answer.Token == "" {
		s.t.Fatalf("no token in %s", w.Body)
	}
	return answer.Token
}
