package auth_test

import (
	"context"
	"encoding/base64"
	"errors"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"airmirror/api/admin"
	"airmirror/api/auth"
	"airmirror/api/registry"
	"airmirror/mirror"
)

// states is a [mirror.StateStore] in memory that counts writes.
type states struct {
	mu     sync.Mutex
	all    map[string]map[string][]byte
	writes int
	broken error
}

func (s *states) State(_ context.Context, kind string) (map[string][]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.all[kind]), s.broken
}

func (s *states) ChangeState(context.Context, string, func(map[string][]byte) (map[string][]byte, error)) error {
	return errors.ErrUnsupported
}

func (s *states) SetState(_ context.Context, kind string, records map[string][]byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes++
	if s.all == nil {
		s.all = map[string]map[string][]byte{}
	}
	if s.all[kind] == nil {
		s.all[kind] = map[string][]byte{}
	}
	for key, record := range records {
		if record == nil {
			delete(s.all[kind], key)
		} else {
			s.all[kind][key] = record
		}
	}
	return nil
}

func openTokens(t *testing.T, store *states) *auth.Tokens {
	t.Helper()
	tokens, err := auth.OpenTokens(t.Context(), store, zap.NewNop())
	must(t, err)
	return tokens
}

func createToken(t *testing.T, tokens *auth.Tokens, req admin.TokenRequest) (secret string) {
	t.Helper()
	created, err := tokens.CreateToken(t.Context(), req, "alice")
	must(t, err)
	return created.Secret
}

// ci may push to team/**.
var ci = admin.TokenRequest{Name: "ci", Actions: []registry.Action{registry.Pull, registry.Push}, Repositories: []string{"team/**"}}

func TestAPITokensLogInToTheRegistry(t *testing.T) {
	tokens := openTokens(t, &states{})
	secret := createToken(t, tokens, ci)
	s := newSite(t, auth.Options{Tokens: tokens, NoAnonymousPull: true})
	s.fill("team/app")
	s.fill("other/app")
	for name, who := range map[string]as{
		"name and secret": user("ci", secret), "bearer token": bearer(secret), "token for a login": bearer(s.token(user("ci", secret), "?service=mirror")),
	} {
		t.Run(name, func(t *testing.T) {
			s.want(http.StatusOK, who, "GET", "/v2/", nil)
			s.want(http.StatusOK, who, "GET", "/v2/team/app/manifests/1", nil)
			s.want(http.StatusForbidden, who, "GET", "/v2/other/app/manifests/1", nil)
			s.want(http.StatusAccepted, who, "POST", "/v2/team/new/blobs/uploads/", nil)
			s.want(http.StatusForbidden, who, "POST", "/v2/other/app/blobs/uploads/", nil)
			s.want(http.StatusForbidden, who, "DELETE", "/v2/team/app/manifests/1", nil)
			if w := s.want(http.StatusOK, who, "GET", "/v2/_catalog", nil); strings.Contains(w.Body.String(), "other") {
				t.Errorf("the catalog shows %s", w.Body)
			}
		})
	}
	s.want(http.StatusUnauthorized, user("other", secret), "GET", "/v2/", nil)
	s.want(http.StatusUnauthorized, user("ci", secret[:len(secret)-1]+"a"), "GET", "/v2/", nil)
	s.want(http.StatusUnauthorized, nobody, "GET", "/v2/team/app/manifests/1", nil)
}

func TestAnAPITokenHasNoRightsOfUsers(t *testing.T) {
	tokens := openTokens(t, &states{})
	secret := createToken(t, tokens, ci)
	s := newSite(t, auth.Options{Tokens: tokens, Htpasswd: htpasswd(t, "ci"), Rules: []auth.Rule{
		{Users: []string{"ci", auth.Authenticated}, Repositories: []string{"**"}, Actions: []registry.Action{registry.Admin}},
		{Users: []string{auth.Anonymous}, Repositories: []string{"library/*"}, Actions: []registry.Action{registry.Pull}},
	}})
	s.fill("other/app")
	s.fill("library/app")
	s.want(http.StatusForbidden, user("ci", secret), "GET", "/v2/other/app/manifests/1", nil)
	s.want(http.StatusOK, user("ci", secret), "GET", "/v2/library/app/manifests/1", nil)
	s.want(http.StatusOK, known("ci"), "GET", "/v2/other/app/manifests/1", nil)
}

func TestWhatEndsAnAPIToken(t *testing.T) {
	for name, end := range map[string]func(*testing.T, *auth.Tokens, *states){
		"revocation": func(t *testing.T, tokens *auth.Tokens, _ *states) { must(t, tokens.RevokeToken(t.Context(), "ci")) },
		"expiry":     func(*testing.T, *auth.Tokens, *states) { time.Sleep(time.Minute) },
		"revocation by another node": func(t *testing.T, _ *auth.Tokens, store *states) {
			must(t, openTokens(t, store).RevokeToken(t.Context(), "ci"))
			time.Sleep(10 * time.Second)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := &states{}
				tokens := openTokens(t, store)
				req := ci
				req.Expires = time.Now().Add(time.Minute)
				secret := createToken(t, tokens, req)
				guard, err := auth.New(auth.Options{Tokens: tokens, NoAnonymousPull: true})
				must(t, err)
				other := ci
				other.Name = "other"
				createToken(t, tokens, other)
				s := &site{t: t, handler: guard.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if _, err := guard.Authorize(w.Header(), r, registry.Operation{Action: registry.Ping}); err != nil {
						w.WriteHeader(registry.StatusOf(mirror.CodeOf(err)))
					}
				}))}
				login := s.token(user("ci", secret), "?service=mirror")
				s.want(http.StatusOK, bearer(login), "GET", "/v2/", nil)
				end(t, tokens, store)
				for _, who := range []as{bearer(secret), bearer(login)} {
					s.want(http.StatusUnauthorized, who, "GET", "/v2/", nil)
					if a := accessWith(t, guard, who); a.User != "" || a.AllowsAny(registry.Push) {
						t.Errorf("after %s: %+v", name, a)
					}
				}
			})
		})
	}
}

// accessWith returns what the API sees of a client, or the zero value if it is refused.
func accessWith(t *testing.T, guard *auth.Guard, who as) (access admin.Access) {
	t.Helper()
	s := &site{t: t, handler: guard.API(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { access = admin.AccessOf(r.Context()) }))}
	s.do(who, "GET", "/api/v1/mode", nil)
	return access
}

func TestTheUseOfAnAPITokenIsRecordedOnceAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &states{}
		tokens := openTokens(t, store)
		secret := createToken(t, tokens, ci)
		guard, err := auth.New(auth.Options{Tokens: tokens})
		must(t, err)
		time.Sleep(time.Hour)
		before := store.writes
		for range 90 {
			time.Sleep(time.Minute)
			if a := accessWith(t, guard, bearer(secret)); a.User != "token:ci" {
				t.Fatalf("%+v", a)
			}
		}
		all, err := openTokens(t, store).Tokens(t.Context())
		must(t, err)
		if wrote := store.writes - before; wrote != 2 || time.Since(all[0].LastUsed) > time.Hour {
			t.Errorf("%d writes, last used %s ago", wrote, time.Since(all[0].LastUsed))
		}
	})
}

func TestAPITokensAreStoredWithoutTheirSecrets(t *testing.T) {
	store := &states{}
	secret := createToken(t, openTokens(t, store), ci)
	for _, records := range store.all {
		for _, record := range records {
			for _, leak := range []string{secret, strings.TrimPrefix(secret, "mirror_"), base64.StdEncoding.EncodeToString([]byte(secret))} {
				if strings.Contains(string(record), leak) {
					t.Errorf("the record has the secret: %s", record)
				}
			}
		}
	}
	again := openTokens(t, store)
	guard, err := auth.New(auth.Options{Tokens: again})
	must(t, err)
	if a := accessWith(t, guard, bearer(secret)); !a.Allows(registry.Push, mirror.Repo{Host: mirror.DockerHub, Path: "team/app"}) {
		t.Errorf("after a restart: %+v", a)
	}
}

func TestTokensThatCannotBeCreated(t *testing.T) {
	tokens := openTokens(t, &states{})
	createToken(t, tokens, ci)
	for name, change := range map[string]func(*admin.TokenRequest){
		"its name exists":       func(r *admin.TokenRequest) { r.Name = "ci" },
		"a name with a colon":   func(r *admin.TokenRequest) { r.Name = "a:b" },
		"no name":               func(r *admin.TokenRequest) { r.Name = "" },
		"no action":             func(r *admin.TokenRequest) { r.Actions = nil },
		"an unknown action":     func(r *admin.TokenRequest) { r.Actions = []registry.Action{"list"} },
		"no repository":         func(r *admin.TokenRequest) { r.Repositories = nil },
		"an invalid pattern":    func(r *admin.TokenRequest) { r.Repositories = []string{"team/["} },
		"an expiry in the past": func(r *admin.TokenRequest) { r.Expires = time.Now().Add(-time.Hour) },
	} {
		req := ci
		req.Name = "other"
		change(&req)
		if _, err := tokens.CreateToken(t.Context(), req, ""); mirror.CodeOf(err) != mirror.CodeNameInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := tokens.RevokeToken(t.Context(), "other"); mirror.CodeOf(err) != mirror.CodeNameUnknown {
		t.Errorf("revoke: %v", err)
	}
}

func TestTokensStayValidWhileTheirStoreFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &states{}
		tokens := openTokens(t, store)
		secret := createToken(t, tokens, ci)
		guard, err := auth.New(auth.Options{Tokens: tokens})
		must(t, err)
		store.broken = errors.New("the disk failed")
		time.Sleep(time.Minute)
		if a := accessWith(t, guard, bearer(secret)); a.User != "token:ci" {
			t.Errorf("%+v", a)
		}
	})
}

func TestAPITokensEndTheRightsOfThisMachine(t *testing.T) {
	tokens := openTokens(t, &states{})
	guard, err := auth.New(auth.Options{Tokens: tokens})
	must(t, err)
	if a := accessWith(t, guard, fromLoopback); !a.IsAdmin() {
		t.Errorf("without tokens: %+v", a)
	}
	createToken(t, tokens, ci)
	if a := accessWith(t, guard, fromLoopback); a.IsAdmin() || !a.CanLogIn {
		t.Errorf("with a token: %+v", a)
	}
}
