package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"airmirror/api/registry"
	"airmirror/mirror"
)

// TokenPath is the path where clients get tokens.
const TokenPath = "/auth/token"

const (
	service = "mirror"
	// tokenLifetime is how long a token is valid. Clients request a new one by themselves.
	tokenLifetime = 5 * time.Minute
	// refreshPurpose is the audience of refresh tokens, which stand for a name and password when requesting tokens.
	// Like all tokens, they become invalid when the mirror restarts; a client that kept one instead of the password has
	// to log in again. So only clients that request access_type=offline get a refresh token; docker login does not
	// request it.
	refreshPurpose  = "mirror refresh"
	refreshLifetime = 30 * 24 * time.Hour
)

// maxForm is the maximum size of a token request, in bytes.
const maxForm = 64 << 10

// issue serves https://distribution.github.io/distribution/spec/auth/token/ for GET, and
// https://distribution.github.io/distribution/spec/auth/oauth/ for POST.
func (p *policy) issue(w http.ResponseWriter, r *http.Request) {
	if p.issuer != nil || !p.hasLogins() {
		fail(w, mirror.Errorf(mirror.CodeUnsupported, "this mirror does not issue tokens"))
		return
	}
	var c client
	var scopes []string
	var offline bool
	var err error
	switch r.Method {
	case http.MethodGet:
		if scheme, _, _ := strings.Cut(r.Header.Get("Authorization"), " "); strings.EqualFold(scheme, "Bearer") {
			r.Header.Del("Authorization") // otherwise a client could renew its token forever
		}
		scopes = r.URL.Query()["scope"]
		c, err = p.identify(r)
	case http.MethodPost:
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		if err = r.ParseForm(); err == nil {
			scopes, offline = r.PostForm["scope"], r.PostForm.Get("access_type") == "offline"
			c, err = p.identifyByGrant(r)
		} else {
			err = mirror.Errorf(mirror.CodeUnsupported, "the form is malformed: %w", err)
		}
	default:
		w.Header().Set("Allow", "GET, POST")
		err = mirror.Errorf(mirror.CodeUnsupported, "request a token with GET or POST")
	}
	if err != nil && (mirror.CodeOf(err) == mirror.CodeUnsupported || !p.onlyPublicPulls(scopes)) {
		if p.challenge(w.Header(), r, registry.Operation{Action: registry.Ping}, c, err); mirror.CodeOf(err) == mirror.CodeUnauthorized {
			w.Header().Set("WWW-Authenticate", basic)
		}
		fail(w, err)
		return
	}
	p.writeToken(w, c.name, scopes, offline)
}

// identifyByGrant identifies a client by the grant in its form: a name and password, or a refresh token. Other grants
// are [mirror.CodeUnsupported], after which clients use GET.
func (p *policy) identifyByGrant(r *http.Request) (client, error) {
	switch grant := r.PostForm.Get("grant_type"); grant {
	case "password":
		r.SetBasicAuth(r.PostForm.Get("username"), r.PostForm.Get("password"))
		return p.identify(r)
	case "refresh_token":
		name, err := p.verifyFor(refreshPurpose, r.PostForm.Get("refresh_token"))
		if err != nil || name == "" {
			return client{}, mirror.Errorf(mirror.CodeUnauthorized, "the refresh token is invalid: log in again")
		}
		return client{name: name, authenticated: true}, nil
	default:
		return client{}, mirror.Errorf(mirror.CodeUnsupported, "the grant_type %q is not supported: use password or refresh_token", grant)
	}
}

// writeToken answers with a token for a user or an anonymous client, and with a refresh token if a user with a password
// asked for one.
func (p *policy) writeToken(w http.ResponseWriter, name string, scopes []string, offline bool) {
	token, err := p.sign(service, name, tokenLifetime)
	answer := map[string]any{
		"token": token, "access_token": token, "expires_in": int(tokenLifetime.Seconds()), "issued_at": time.Now().UTC().Format(time.RFC3339),
	}
	if len(scopes) > 0 {
		answer["scope"] = strings.Join(scopes, " ")
	}
	if _, password := p.users.Get().hashes[name]; offline && password && err == nil {
		answer["refresh_token"], err = p.sign(refreshPurpose, name, refreshLifetime)
	}
	if err != nil {
		fail(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(answer) // the client may be gone
}

// onlyPublicPulls reports whether all requested scopes are open to anonymous clients. The client then gets a token even
// if its password is wrong: a mirror of Docker Hub receives passwords for Docker Hub.
func (p *policy) onlyPublicPulls(scopes []string) bool {
	asked := false
	for _, list := range scopes {
		for scope := range strings.FieldsSeq(list) {
			kind, rest, _ := strings.Cut(scope, ":")
			i := strings.LastIndexByte(rest, ':')
			if kind != "repository" || i < 0 || rest[i+1:] != "pull" {
				return false
			}
			repo, err := p.names.Repo(rest[:i], "")
			if err != nil || !p.rules.allow("", registry.Operation{Action: registry.Pull, Repo: repo}) {
				return false
			}
			asked = true
		}
	}
	return asked
}

// now returns the time for tokens. It starts with the clock at the start of the process and never jumps.
func (p *policy) now() time.Time { return p.started.Add(p.elapsed()) }

// sign returns a token for a user or an anonymous client that is valid for one purpose.
func (p *policy) sign(purpose, name string, last time.Duration) (string, error) {
	now := p.now()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: p.signing}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return "", err
	}
	return jwt.Signed(signer).Claims(jwt.Claims{
		Issuer: service, Audience: jwt.Audience{purpose}, Subject: name, ID: p.passwordStamp(name),
		IssuedAt: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(last)),
	}).Serialize()
}

// verifyOwn returns the user of a token of this mirror; "" for an anonymous client.
func (p *policy) verifyOwn(text string) (name string, err error) { return p.verifyFor(service, text) }

// verifyFor is verifyOwn for a token with another purpose.
func (p *policy) verifyFor(purpose, text string) (name string, err error) {
	token, err := jwt.ParseSigned(text, []jose.SignatureAlgorithm{jose.HS256})
	if err != nil {
		return "", errInvalidToken
	}
	var claims jwt.Claims
	if err := token.Claims(p.signing, &claims); err != nil {
		return "", errInvalidToken
	}
	if claims.ValidateWithLeeway(jwt.Expected{Issuer: service, AnyAudience: jwt.Audience{purpose}, Time: p.now()}, 0) != nil || claims.ID != p.passwordStamp(claims.Subject) {
		return "", errInvalidToken
	}
	return claims.Subject, nil
}

// passwordStamp returns a value that changes with the password of a user, or the secret of an API token. Tokens contain it,
// and become invalid when the password is changed or the user is removed. It is the same for all users with certificates.
func (p *policy) passwordStamp(name string) string {
	mac := hmac.New(sha256.New, p.secret)
	if token, ok := strings.CutPrefix(name, tokenUser); ok {
		if found := p.tokens.byName(token); found != nil {
			mac.Write(found.Hash)
		}
	} else {
		mac.Write(p.users.Get().hashes[name])
	}
	return hex.EncodeToString(mac.Sum(nil)[:8])
}

// fail answers with an error in the form of the registry API.
func fail(w http.ResponseWriter, err error) {
	code := mirror.CodeOf(err)
	message := "internal error: see the mirror's log"
	if code != mirror.CodeUnknown {
		message = err.Error()
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(registry.StatusOf(code))
	_ = json.NewEncoder(w).Encode(map[string]any{"errors": []map[string]any{{"code": code, "message": message}}})
}
