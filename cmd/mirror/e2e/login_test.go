//go:build e2e

package e2e_test

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"airmirror/cmd/mirror/testport"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

const (
	robot  = "robot"
	secret = "let me in"
	// The line of an htpasswd file for them. bcrypt at its cheapest: it is no secret, and checked with every request.
	robotLine = "robot:$2a$04$Ppo4kO0Equ1pj90kJFUapesXxnkdVAsN5K55gGlHFX66LjHhy7RRa\n"
)

// guarded are registries that want a login, each in its own way.
var guarded = map[string]func(t *testing.T) *upstream{
	"basic": func(t *testing.T) *upstream {
		t.Helper()
		return startUpstream(t, fmt.Sprintf("auth: {htpasswd: {realm: here, path: %s}}", writeFile(t, tempDir(t), "htpasswd", robotLine)))
	},
	"token": func(t *testing.T) *upstream {
		t.Helper()
		tokens := newTokenService(t)
		return startUpstream(t, fmt.Sprintf("auth: {token: {realm: %q, service: %s, issuer: %s, rootcertbundle: %s}}",
			tokens.realm, tokens.service, tokens.issuer, tokens.certificate))
	},
}

// tokenService gives tokens to the robot, signed so that the registry knows them for its own.
type tokenService struct {
	realm, issuer, service string
	certificate            string // file, in PEM
	pair                   tls.Certificate
}

func newTokenService(t *testing.T) *tokenService {
	t.Helper()
	s := &tokenService{issuer: "issuer", service: "registry"}
	var key string
	var err error
	s.certificate, key = selfSigned(t, tempDir(t))
	if s.pair, err = tls.LoadX509KeyPair(s.certificate, key); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	// By name: go-containerregistry sends nobody to a bare private address other than the registry's own.
	s.realm = strings.Replace(server.URL, "127.0.0.1", "localhost", 1) + "/token"
	return s
}

// ServeHTTP answers as https://distribution.github.io/distribution/spec/auth/token/ says.
func (s *tokenService) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	user, password, _ := r.BasicAuth()
	if user != robot || password != secret || r.FormValue("service") != s.service {
		http.Error(w, `{"errors": [{"code": "UNAUTHORIZED", "message": "who is this?"}]}`, http.StatusUnauthorized)
		return
	}
	type access struct {
		Type    string   `json:"type"`
		Name    string   `json:"name"`
		Actions []string `json:"actions"`
	}
	granted := []access{}
	for _, scope := range r.Form["scope"] {
		if parts := strings.Split(scope, ":"); len(parts) == 3 {
			granted = append(granted, access{parts[0], parts[1], strings.Split(parts[2], ",")})
		}
	}
	now := time.Now()
	token := s.sign(map[string]any{
		"iss": s.issuer, "aud": s.service, "sub": user, "access": granted, "jti": "1",
		"nbf": now.Add(-time.Minute).Unix(), "iat": now.Unix(), "exp": now.Add(time.Minute).Unix(),
	})
	_ = json.NewEncoder(w).Encode(map[string]any{"token": token, "expires_in": 60}) // who leaves gets none
}

// sign makes a JSON web token of claims.
func (s *tokenService) sign(claims map[string]any) string {
	encode := func(v any) string {
		text, err := json.Marshal(v)
		if err != nil {
			panic(err)
		}
		return base64.RawURLEncoding.EncodeToString(text)
	}
	text := encode(map[string]any{"typ": "JWT", "alg": "ES256", "x5c": [][]byte{s.pair.Certificate[0]}}) + "." + encode(claims)
	digest := sha256.Sum256([]byte(text))
	r, v, err := ecdsa.Sign(rand.Reader, s.pair.PrivateKey.(*ecdsa.PrivateKey), digest[:])
	if err != nil {
		panic(err)
	}
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	v.FillBytes(signature[32:])
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// upstreamFile writes a configuration file in which docker.io is this upstream, with these credentials.
func upstreamFile(t *testing.T, u *upstream, credentials string) string {
	t.Helper()
	return writeFile(t, tempDir(t), "mirror.yaml", fmt.Sprintf(`upstreams:
  - host: docker.io
    endpoints:
      - url: http://%s
        credentials: %s
`, u.addr, credentials))
}

// dockerLogin returns an environment in which docker's own configuration has a password for an upstream.
func dockerLogin(t *testing.T, u *upstream, password string) []string {
	t.Helper()
	dir := tempDir(t)
	writeFile(t, dir, "config.json", fmt.Sprintf(`{"auths": {%q: {"auth": %q}}}`,
		u.addr, base64.StdEncoding.EncodeToString([]byte(robot+":"+password))))
	return environment(t, "DOCKER_CONFIG="+dir)
}

func TestPullsFromARegistryThatWantsALogin(t *testing.T) {
	for name, startGuarded := range guarded {
		t.Run(name, func(t *testing.T) {
			hub := startGuarded(t)
			digest := push(t, helloIndex(t, ociFormat, "for the robot"), hub.addr+"/library/airmirror-hello:1",
				remote.WithAuth(&authn.Basic{Username: robot, Password: secret})).String()
			password := writeFile(t, tempDir(t), "password", secret+"\n")
			begin := func(t *testing.T, env []string, flags ...string) *server {
				t.Helper()
				return startMirrorWith(t, env, testport.Address(t), filepath.Join(tempDir(t), "data"), flags...)
			}

			for how, mirror := range map[string]func(t *testing.T) *server{
				"password": func(t *testing.T) *server {
					return begin(t, environment(t), "--config", upstreamFile(t, hub, fmt.Sprintf("{username: %s, password: %q}", robot, secret)))
				},
				"password file": func(t *testing.T) *server {
					return begin(t, environment(t), "--config", upstreamFile(t, hub, fmt.Sprintf("{username: %s, passwordFile: %s}", robot, password)))
				},
				"docker login": func(t *testing.T) *server { return begin(t, dockerLogin(t, hub, secret), mirrorOf(hub)) },
			} {
				t.Run(how, func(t *testing.T) {
					mirror := mirror(t)
					wantWhole(t, mirror.addr+"/library/airmirror-hello:1", digest)
				})
			}

			for how, mirror := range map[string]func(t *testing.T) *server{
				"wrong password": func(t *testing.T) *server {
					return begin(t, environment(t), "--config", upstreamFile(t, hub, fmt.Sprintf("{username: %s, password: guess}", robot)))
				},
				"wrong docker login": func(t *testing.T) *server { return begin(t, dockerLogin(t, hub, "guess"), mirrorOf(hub)) },
				"no login":           func(t *testing.T) *server { return begin(t, environment(t), mirrorOf(hub)) },
			} {
				t.Run(how, func(t *testing.T) {
					mirror := mirror(t)
					wantMiss(t, mirror.addr, heldPath)
					reason := fmt.Sprintf("does not accept the password of user \\\"%s\\\"", robot)
					if how == "no login" {
						reason = "needs a login"
					}
					wantReason(t, mirror, heldPath, reason)
					wantNothingHeld(t, mirror)
				})
			}
		})
	}
}

// wantReason checks that a miss says why.
func wantReason(t *testing.T, mirror *server, path, reason string) {
	t.Helper()
	response, err := http.Get("http://" + mirror.addr + path)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, err := io.ReadAll(response.Body); err != nil || !strings.Contains(string(body), reason) {
		t.Errorf("GET %s says %q (%v), which does not say %q", path, body, err, reason)
	}
}

func wantNothingHeld(t *testing.T, mirror *server) {
	t.Helper()
	if got := mirror.ask(t, "ls"); got != "nothing to list\n" {
		t.Errorf("mirror ls prints %q, want nothing to list", got)
	}
	err := filepath.WalkDir(filepath.Join(mirror.data, "blobs"), func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			t.Errorf("the mirror holds %s", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
