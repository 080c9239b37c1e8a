package upstream_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"

	"airmirror/mirror"
	"airmirror/upstream"
)

// tokens is a registry with a token service at http://auth.test/token. Only the last token is valid.
type tokens struct {
	t       *testing.T
	mu      sync.Mutex
	n       int
	asked   []*http.Request  // requests of the token service
	refuse  http.HandlerFunc // the token service's answer, if it has no tokens
	content http.HandlerFunc
}

func (k *tokens) token() string { return fmt.Sprintf("token-%d", k.n) }

// expire invalidates all tokens.
func (k *tokens) expire() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.n++
}

func (k *tokens) serveToken(w http.ResponseWriter, r *http.Request) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.asked = append(k.asked, r)
	if k.refuse != nil {
		k.refuse(w, r)
		return
	}
	k.n++
	fmt.Fprintf(w, `{"token":%q}`, k.token())
}

func (k *tokens) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	k.mu.Lock()
	good := r.Header.Get("Authorization") == "Bearer "+k.token()
	k.mu.Unlock()
	if strings.HasPrefix(r.Header.Get("Authorization"), "Basic") {
		k.t.Errorf("%s got the password", r.URL)
	}
	if !good {
		w.Header().Set("WWW-Authenticate", `Bearer realm="http://auth.test/token",service="the registry"`)
		status(http.StatusUnauthorized, "UNAUTHORIZED", "authentication required")(w, r)
		return
	}
	if r.URL.Path != "/v2/" {
		k.content(w, r)
	}
}

func (n *network) serveTokens(content http.HandlerFunc) *tokens {
	k := &tokens{t: n.t, content: content}
	n.serve("registry.test", k)
	n.serve("auth.test", http.HandlerFunc(k.serveToken))
	return k
}

// noPassword is a handler for a host that must not be reached.
func noPassword(t *testing.T, _ http.HandlerFunc) http.HandlerFunc {
	return func(http.ResponseWriter, *http.Request) { t.Error("there was a sign-in") }
}

// noAuthorization fails the test if it gets credentials.
func noAuthorization(t *testing.T, h http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Authorization"); got != "" {
			t.Errorf("%s%s got %s", r.Host, r.URL, got)
		}
		h(w, r)
	})
}

func TestToken(t *testing.T) {
	n := newNetwork(t)
	k := n.serveTokens(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://cdn.test/blob", http.StatusTemporaryRedirect)
	})
	n.serve("cdn.test", noAuthorization(t, serveBlob))
	c := n.client(upstream.Options{Keychain: keychain{"registry.test": "me:secret"}}, "http://registry.test")
	wantBlob(t, c, int64(len(blob)))
	wantBlob(t, c, int64(len(blob)))
	if len(k.asked) != 1 {
		t.Fatalf("requested %d tokens, want 1", len(k.asked))
	}
	query := k.asked[0].URL.Query()
	if scopes := query["scope"]; !slices.Equal(scopes, []string{"repository:org/app:pull"}) {
		t.Errorf("scopes are %v", scopes)
	}
	if service := query.Get("service"); service != "the registry" {
		t.Errorf("service is %q", service)
	}
	if user, password, _ := k.asked[0].BasicAuth(); user != "me" || password != "secret" {
		t.Errorf("token service got %s:%s", user, password)
	}
	if agent := k.asked[0].UserAgent(); agent != "airmirror" {
		t.Errorf("User-Agent is %q", agent)
	}
}

// TestTokenExpires checks that a new token is requested, though the context of the first sign-in has ended.
func TestTokenExpires(t *testing.T) {
	n := newNetwork(t)
	k := n.serveTokens(serveIndex)
	c := n.client(upstream.Options{}, "http://registry.test")
	for range 3 {
		if _, err := c.Manifest(t.Context(), appTag); err != nil {
			t.Fatal(err)
		}
		k.expire()
	}
	if len(k.asked) != 3 {
		t.Errorf("requested %d tokens, want 3", len(k.asked))
	}
}

func TestTokenService(t *testing.T) {
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		code   mirror.Code
		says   string
	}{
		"401":      {status(401, "UNAUTHORIZED", "wrong password"), mirror.CodeManifestUnknown, "refused manifest v1 of registry.test/org/app"},
		"403":      {status(403, "DENIED", "not yours"), mirror.CodeManifestUnknown, "not yours"},
		"404":      {page(404), mirror.CodeUnavailable, "sign-in"},
		"429":      {slowDown, mirror.CodeUnavailable, "limits the rate of requests: 429"},
		"500":      {page(500), mirror.CodeUnavailable, "signing in to upstream registry.test failed: 500 Internal Server Error"},
		"503":      {page(503), mirror.CodeUnavailable, "failed: 503"},
		"page":     {page(200), mirror.CodeUnavailable, "the request to registry.test failed"},
		"no token": {func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "{\n}") }, mirror.CodeUnavailable, "no token"},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNetwork(t)
			k := n.serveTokens(serveIndex)
			k.refuse = test.answer
			c := n.client(upstream.Options{}, "http://registry.test")
			_, err := c.Manifest(t.Context(), appTag)
			wantError(t, err, test.code, "registry.test", test.says)

			k.refuse = nil // a failure is not remembered
			if _, err := c.Manifest(t.Context(), appTag); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestTokenServiceRefusesLater has a token service that refuses after the first token.
func TestTokenServiceRefusesLater(t *testing.T) {
	n := newNetwork(t)
	k := n.serveTokens(serveIndex)
	c := n.client(upstream.Options{}, "http://registry.test")
	if _, err := c.Manifest(t.Context(), appTag); err != nil {
		t.Fatal(err)
	}
	k.expire()
	k.refuse = status(403, "DENIED", "no longer yours")
	_, err := c.Manifest(t.Context(), appTag)
	wantError(t, err, mirror.CodeManifestUnknown, "no longer yours")
}

// basic returns a registry that wants a password.
func basic(password func() string, h http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, got, _ := r.BasicAuth(); got != password() {
			w.Header().Set("WWW-Authenticate", `Basic realm="the registry"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if r.URL.Path != "/v2/" {
			h(w, r)
		}
	})
}

func TestBasic(t *testing.T) {
	n := newNetwork(t)
	password := func() string { return "secret" }
	n.serve("registry.test", basic(password, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://cdn.test/blob", http.StatusTemporaryRedirect)
	}))
	n.serve("cdn.test", noAuthorization(t, serveBlob))
	wantBlob(t, n.client(upstream.Options{Keychain: keychain{"registry.test": "me:secret"}}, "http://registry.test"), int64(len(blob)))

	_, err := n.client(upstream.Options{}, "http://registry.test").Manifest(t.Context(), appTag)
	wantError(t, err, mirror.CodeManifestUnknown, "refused manifest v1 of registry.test/org/app", "needs a login", "401 Unauthorized")
}

// TestPasswordChanges checks that a refused password is looked up again.
func TestPasswordChanges(t *testing.T) {
	n, secret := newNetwork(t), "old"
	n.serve("registry.test", basic(func() string { return secret }, serveIndex))
	keys := keychain{"registry.test": "me:old"}
	c := n.client(upstream.Options{Keychain: keys}, "http://registry.test")
	for _, password := range []string{"old", "new"} {
		secret, keys["registry.test"] = password, "me:"+password
		if _, err := c.Manifest(t.Context(), appTag); err != nil {
			t.Error(err)
		}
	}
}

// TestSignInPageGoesAway checks that nothing of a sign-in page remains once it is gone.
func TestSignInPageGoesAway(t *testing.T) {
	n := newNetwork(t)
	portal := n.serve("registry.test", page(http.StatusOK))
	c := n.client(upstream.Options{}, "http://registry.test")
	_, err := c.Resolve(t.Context(), appTag)
	wantError(t, err, mirror.CodeUnavailable, "web page")
	portal.Close()
	n.serveTokens(serveIndex)
	if _, err := c.Resolve(t.Context(), appTag); err != nil {
		t.Error(err)
	}
}

// TestPingDecidesNothing checks that the response to the request is used, whatever /v2/ says.
func TestPingDecidesNothing(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"401": status(401, "UNAUTHORIZED", ""), "403": status(403, "DENIED", "not from there"), "403 page": page(403),
		"404": page(404), "405": page(405), "429": slowDown, "500": page(500), "a page": page(200),
	} {
		t.Run(name, func(t *testing.T) {
			n := newNetwork(t)
			n.serve("registry.test", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/v2/" {
					answer(w, r)
					return
				}
				serveIndex(w, r)
			}))
			if _, err := n.client(upstream.Options{}, "http://registry.test").Manifest(t.Context(), appTag); err != nil {
				t.Error(err)
			}
		})
	}
}

// recorder is a keychain without credentials that records the lookups.
type recorder struct{ asked []string }

func (k *recorder) Resolve(r authn.Resource) (authn.Authenticator, error) {
	k.asked = append(k.asked, r.RegistryStr())
	return authn.Anonymous, nil
}

// TestAccounts checks that credentials are looked up for the host of the URL, not for that of the upstream.
func TestAccounts(t *testing.T) {
	for endpoint, want := range map[string]string{
		"docker.io":                     "index.docker.io",
		"http://127.0.0.1:5600":         "127.0.0.1:5600",
		"https://registry.test:443/p":   "registry.test",
		"https://registry.test/x/v2/p":  "registry.test",
		"http://registry.test:8080/art": "registry.test:8080",
	} {
		n, keys := newNetwork(t), &recorder{}
		refuse := basic(func() string { return "secret" }, serveIndex)
		n.serveTLS("registry-1.docker.io", refuse)
		n.serveTLS("registry.test", refuse)
		n.serve("127.0.0.1:5600", refuse)
		n.serve("registry.test:8080", refuse)
		config := upstream.Config{Host: "docker.io", Endpoints: []upstream.EndpointConfig{{URL: endpoint, TLS: upstream.TLS{SkipVerify: true}}}}
		c := n.configured(upstream.Options{Keychain: keys}, config)
		_, err := c.Manifest(t.Context(), mirror.Ref{Repo: mirror.Repo{Host: "docker.io", Path: "library/alpine"}, Tag: "3"})
		wantError(t, err, mirror.CodeManifestUnknown, "needs a login")
		if !slices.Equal(keys.asked, []string{want}) {
			t.Errorf("%s: looked up %v, want %s", endpoint, keys.asked, want)
		}
	}
}

// TestDockerConfig checks that the default credentials are those of docker login.
func TestDockerConfig(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("DOCKER_CONFIG", dir)
	write := func(config string) {
		if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	n := newNetwork(t)
	n.serve("registry.test", basic(func() string { return "secret" }, serveIndex))
	c := n.client(upstream.Options{}, "http://registry.test")

	write(`{"auths":{"registry.test":{"auth":"` + base64.StdEncoding.EncodeToString([]byte("me:secret")) + `"}}}`)
	if _, err := c.Manifest(t.Context(), appTag); err != nil {
		t.Error(err)
	}
	write(`{"auths":`)
	_, err := c.Manifest(t.Context(), mirror.Ref{Repo: mirror.Repo{Host: "registry.test", Path: "other"}, Tag: "v1"})
	wantError(t, err, mirror.CodeUnavailable, "the request to registry.test failed: looking up the credentials for registry.test")
}

// brokenKeychain fails all lookups.
type brokenKeychain struct{}

var errKeychain = errors.New("the helper has crashed")

func (brokenKeychain) Resolve(authn.Resource) (authn.Authenticator, error) { return nil, errKeychain }

func TestBrokenKeychain(t *testing.T) {
	n := newNetwork(t)
	n.serve("registry.test", basic(func() string { return "secret" }, noPassword(t, serveIndex)))
	_, err := n.client(upstream.Options{Keychain: brokenKeychain{}}, "http://registry.test").Manifest(t.Context(), appTag)
	wantError(t, err, mirror.CodeUnavailable, "the helper has crashed")
	if !errors.Is(err, errKeychain) {
		t.Errorf("cause of %v is lost", err)
	}
}
