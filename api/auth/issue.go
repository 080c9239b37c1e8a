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
	// tokensLast is how long a token of this mirror is good. Clients get another one by themselves.
	tokensLast = 5 * time.Minute
)

// issue answers as https://distribution.github.io/distribution/spec/auth/token/ says.
func (p *policy) issue(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet { // clients that try POST first take this for an answer
		w.Header().Set("Allow", http.MethodGet)
		fail(w, mirror.Errorf(mirror.CodeUnsupported, "a token is asked for with GET"))
		return
	}
	if p.external != nil || !p.logins() {
		fail(w, mirror.Errorf(mirror.CodeUnsupported, "this mirror gives no tokens"))
		return
	}
	if scheme, _, _ := strings.Cut(r.Header.Get("Authorization"), " "); strings.EqualFold(scheme, "Bearer") {
		r.Header.Del("Authorization") // no token is given for a token: it would never end
	}
	c, err := p.identify(r)
	if err != nil && !p.suffices(r.URL.Query()["scope"]) {
		if p.challenge(w.Header(), r, registry.Ask{Action: registry.Ping}, c, err); mirror.CodeOf(err) == mirror.CodeUnauthorized {
			w.Header().Set("WWW-Authenticate", basic)
		}
		fail(w, err)
		return
	}
	now := time.Now()
	token, err := p.sign(c.name, now)
	if err != nil {
		fail(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(map[string]any{ // who leaves gets none
		"token": token, "access_token": token, "expires_in": int(tokensLast.Seconds()), "issued_at": now.UTC().Format(time.RFC3339),
	})
}

// suffices reports whether all that a client asks a token for is what anybody may do. It gets one then even if its password
// is wrong: as a mirror of Docker Hub, this one is sent the passwords of Docker Hub.
func (p *policy) suffices(scopes []string) bool {
	asked := false
	for _, list := range scopes {
		for scope := range strings.FieldsSeq(list) {
			kind, rest, _ := strings.Cut(scope, ":")
			i := strings.LastIndexByte(rest, ':')
			if kind != "repository" || i < 0 || rest[i+1:] != "pull" {
				return false
			}
			repo, err := p.names.Repo(rest[:i], "")
			if err != nil || !p.rules.allow("", registry.Ask{Action: registry.Pull, Repo: repo}) {
				return false
			}
			asked = true
		}
	}
	return asked
}

// sign makes a token for a user, or for nobody.
func (p *policy) sign(name string, now time.Time) (string, error) {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: p.signing}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return "", err
	}
	return jwt.Signed(signer).Claims(jwt.Claims{
		Issuer: service, Audience: jwt.Audience{service}, Subject: name, ID: p.standing(name),
		IssuedAt: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(tokensLast)),
	}).Serialize()
}

// verifyOwn returns whose token this is, which may be nobody's. One that says it was issued later than now is good no longer:
// the clock was set back since, and nobody knows how old it is.
func (p *policy) verifyOwn(text string) (name string, err error) {
	token, err := jwt.ParseSigned(text, []jose.SignatureAlgorithm{jose.HS256})
	if err != nil {
		return "", errNotOwn
	}
	var claims jwt.Claims
	if err := token.Claims(p.signing, &claims); err != nil {
		return "", errNotOwn
	}
	if claims.ValidateWithLeeway(jwt.Expected{Issuer: service, AnyAudience: jwt.Audience{service}}, 0) != nil || claims.ID != p.standing(claims.Subject) {
		return "", errNotOwn
	}
	return claims.Subject, nil
}

// standing is what a token says of the user's place in the file: it is good no longer after the password was changed or
// the user removed. Users by certificate have none.
func (p *policy) standing(name string) string {
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
