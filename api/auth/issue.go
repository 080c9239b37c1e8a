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

// TokenPath is where the mirror gives tokens.
const TokenPath = "/auth/token"

const (
	service = "mirror"
	// tokenLifetime is how long a token of this mirror is good. Clients get another one by themselves.
	tokenLifetime = 5 * time.Minute
	// refreshing is what a refresh token is for, which stands for a name and password where tokens are asked for. It is good
	// until the mirror restarts, as all tokens are: clients that keep one in place of a password log in again then. So none
	// is given to who does not ask for one by access_type=offline, as docker login does not.
	refreshPurpose  = "mirror refresh"
	refreshLifetime = 30 * 24 * time.Hour
)

// maxForm is how large the form is at most that a token is asked for with.
const maxForm = 64 << 10

// issue answers as https://distribution.github.io/distribution/spec/auth/token/ says, and to POST as
// https://distribution.github.io/distribution/spec/auth/oauth/ does.
func (p *policy) issue(w http.ResponseWriter, r *http.Request) {
	if p.issuer != nil || !p.hasLogins() {
		fail(w, mirror.Errorf(mirror.CodeUnsupported, "this mirror gives no tokens"))
		return
	}
	var c client
	var scopes []string
	var offline bool
	var err error
	switch r.Method {
	case http.MethodGet:
		if scheme, _, _ := strings.Cut(r.Header.Get("Authorization"), " "); strings.EqualFold(scheme, "Bearer") {
			r.Header.Del("Authorization") // no token is given for a token: it would never end
		}
		scopes = r.URL.Query()["scope"]
		c, err = p.identify(r)
	case http.MethodPost:
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		if err = r.ParseForm(); err == nil {
			scopes, offline = r.PostForm["scope"], r.PostForm.Get("access_type") == "offline"
			c, err = p.identifyByGrant(r)
		} else {
			err = mirror.Errorf(mirror.CodeUnsupported, "the form cannot be read: %w", err)
		}
	default:
		w.Header().Set("Allow", "GET, POST")
		err = mirror.Errorf(mirror.CodeUnsupported, "a token is asked for with GET or POST")
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

// granted is who a client is by the grant of its form: a name and password, or a token that it got for these before.
// What is neither is [mirror.CodeUnsupported]: clients go on to GET then.
func (p *policy) identifyByGrant(r *http.Request) (client, error) {
	switch grant := r.PostForm.Get("grant_type"); grant {
	case "password":
		r.SetBasicAuth(r.PostForm.Get("username"), r.PostForm.Get("password"))
		return p.identify(r)
	case "refresh_token":
		name, err := p.verifyFor(refreshPurpose, r.PostForm.Get("refresh_token"))
		if err != nil || name == "" {
			return client{}, mirror.Errorf(mirror.CodeUnauthorized, "the refresh token is not accepted: log in again")
		}
		return client{name: name, authenticated: true}, nil
	default:
		return client{}, mirror.Errorf(mirror.CodeUnsupported, "a token is asked for with the grant_type password or refresh_token, not with %q", grant)
	}
}

// give sends a token for a user, or for nobody, and one to get others with to a user with a password who wants that.
func (p *policy) writeToken(w http.ResponseWriter, name string, scopes []string, offline bool) {
	token, err := p.sign(service, name, tokenLifetime)
	answer := map[string]any{
		"token": token, "access_token": token, "expires_in": int(tokenLifetime.Seconds()), "issued_at": time.Now().UTC().Format(time.RFC3339),
	}
	if len(scopes) > 0 {
		answer["scope"] = strings.Join(scopes, " ")
	}
	if _, password := p.users.get().hashes[name]; offline && password && err == nil {
		answer["refresh_token"], err = p.sign(refreshPurpose, name, refreshLifetime)
	}
	if err != nil {
		fail(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(answer) // who leaves gets none
}

// suffices reports whether all that a client asks a token for is what anybody may do. It gets one then even if its password
// is wrong: as a mirror of Docker Hub, this one is sent the passwords of Docker Hub.
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

// now is the time of tokens. It goes on from the clock as it was when the process began, and does not jump.
func (p *policy) now() time.Time { return p.started.Add(p.elapsed()) }

// sign makes a token for a user, or for nobody, that is good for one purpose.
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

// verifyOwn returns whose token this is, which may be nobody's.
func (p *policy) verifyOwn(text string) (name string, err error) { return p.verifyFor(service, text) }

// verifyFor is verifyOwn for a token of another purpose.
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

// standing is what a token says of the user's place in the file: it is good no longer after the password was changed or
// the user removed. Users by certificate have none.
func (p *policy) passwordStamp(name string) string {
	mac := hmac.New(sha256.New, p.secret)
	mac.Write(p.users.get().hashes[name])
	return hex.EncodeToString(mac.Sum(nil)[:8])
}

// fail answers with an error in the form of the registry API.
func fail(w http.ResponseWriter, err error) {
	code := mirror.CodeOf(err)
	message := "the mirror failed to answer"
	if code != mirror.CodeUnknown {
		message = err.Error()
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(registry.StatusOf(code))
	_ = json.NewEncoder(w).Encode(map[string]any{"errors": []map[string]any{{"code": code, "message": message}}})
}
