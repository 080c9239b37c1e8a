package auth_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"airmirror/api/auth"
	"airmirror/mirror"
)

func encode(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// issuer signs tokens.
type issuer struct {
	t   *testing.T
	key *ecdsa.PrivateKey
	der []byte // its certificate
}

func newIssuer(t *testing.T, validFor time.Duration) *issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "issuer"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(validFor),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	must(t, err)
	return &issuer{t, key, der}
}

func (i *issuer) certificates() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: i.der}))
}

func (i *issuer) jwks(kid string) string {
	text, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &i.key.PublicKey, KeyID: kid, Use: "sig"}}})
	must(i.t, err)
	return string(text)
}

type claims map[string]any

// access returns claims that allow actions. other replaces default claims.
func access(name string, actions []string, other claims) claims {
	all := claims{
		"iss": "issuer", "aud": "registry", "sub": "robot", "exp": time.Now().Add(time.Minute).Unix(), "nbf": time.Now().Unix(), "iat": time.Now().Unix(),
		"access": []claims{{"type": "repository", "name": name, "actions": actions}},
	}
	maps.Copy(all, other)
	for key, value := range all {
		if value == nil {
			delete(all, key)
		}
	}
	return all
}

func sign(t *testing.T, algorithm jose.SignatureAlgorithm, key any, headers map[jose.HeaderKey]any, c claims) string {
	t.Helper()
	opts := (&jose.SignerOptions{}).WithType("JWT")
	for header, value := range headers {
		opts = opts.WithHeader(header, value)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: key}, opts)
	must(t, err)
	token, err := jwt.Signed(signer).Claims(map[string]any(c)).Serialize()
	must(t, err)
	return token
}

func (i *issuer) sign(c claims) string { return sign(i.t, jose.ES256, i.key, nil, c) }

// trusting returns a mirror that accepts tokens of the issuer with this key file.
func trusting(t *testing.T, keys string) *site {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys")
	must(t, os.WriteFile(path, []byte(keys), 0o600))
	token := auth.Token{Realm: "https://issuer.example/token", Service: "registry", Issuer: "issuer"}
	if strings.HasPrefix(keys, "{") {
		token.JWKS = path
	} else {
		token.Certificates = path
	}
	s := newSite(t, auth.Options{Token: &token, NoAnonymousPull: true, Names: mirror.Names{Default: "reg.corp"}})
	s.fill("team/app")
	return s
}

func TestIssuerTokens(t *testing.T) {
	key := newIssuer(t, time.Hour)
	for name, s := range map[string]*site{"certificates": trusting(t, key.certificates()), "keys": trusting(t, key.jwks("k"))} {
		t.Run(name, func(t *testing.T) {
			s.fill("quay.io/team/app")
			w := s.want(401, nobody, "GET", "/v2/", nil)
			if got := w.Header().Get("WWW-Authenticate"); got != `Bearer realm="https://issuer.example/token",service="registry"` {
				t.Errorf("challenge %s", got)
			}
			reads := bearer(key.sign(access("team/app", []string{"pull"}, nil)))
			s.want(200, reads, "GET", "/v2/", nil)
			s.want(200, reads, "GET", "/v2/team/app/manifests/1", nil)
			s.want(200, reads, "GET", "/v2/team/app/manifests/1?ns=reg.corp", nil)
			w = s.want(401, reads, "POST", "/v2/team/app/blobs/uploads/?mount="+someDigest+"&from=x/y", nil)
			if got := w.Header().Get("WWW-Authenticate"); !strings.HasSuffix(got, `,scope="repository:team/app:pull,push repository:x/y:pull",error="insufficient_scope"`) {
				t.Errorf("challenge %s", got)
			}
			// The same path in another registry is another repository, with another name.
			w = s.want(401, reads, "GET", "/v2/team/app/manifests/1?ns=quay.io", nil)
			if got := w.Header().Get("WWW-Authenticate"); !strings.Contains(got, `scope="repository:quay.io/team/app:pull"`) {
				t.Errorf("challenge %s", got)
			}
			s.want(200, bearer(key.sign(access("quay.io/team/app", []string{"pull"}, nil))), "GET", "/v2/team/app/manifests/1?ns=quay.io", nil)

			s.want(202, bearer(key.sign(access("team/app", []string{"pull", "push"}, nil))), "POST", "/v2/team/app/blobs/uploads/", nil)
			s.want(401, bearer(key.sign(access("team/app", []string{"pull", "push"}, nil))), "DELETE", "/v2/team/app/manifests/1", nil)
			s.want(401, reads, "GET", "/v2/team/app2/manifests/1", nil)
			s.want(202, bearer(key.sign(access("team/app", []string{"*"}, nil))), "DELETE", "/v2/team/app/manifests/1", nil)

			all := access("x", nil, claims{"aud": []string{"other", "registry"}, "access": []claims{{"type": "registry", "name": "catalog", "actions": []string{"*"}}}})
			if w := s.want(200, bearer(key.sign(all)), "GET", "/v2/_catalog", nil); !strings.Contains(w.Body.String(), "quay.io/team/app") {
				t.Errorf("the catalog: %s", w.Body)
			}
			if w := s.want(200, reads, "GET", "/v2/_catalog", nil); strings.Contains(w.Body.String(), "quay.io") {
				t.Errorf("the catalog of who may pull one: %s", w.Body)
			}
			s.want(405, nobody, "GET", auth.TokenPath, nil) // another endpoint issues tokens
		})
	}
}

func TestHostileTokensAreRefused(t *testing.T) {
	key, other, old := newIssuer(t, time.Hour), newIssuer(t, time.Hour), newIssuer(t, -time.Hour)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	public, err := x509.MarshalPKIXPublicKey(&key.key.PublicKey)
	must(t, err)
	may := func(other claims) claims { return access("team/app", []string{"pull", "push"}, other) }
	unix := func(d time.Duration) int64 { return time.Now().Add(d).Unix() }
	good := key.sign(may(nil))
	parts := strings.Split(good, ".")
	header := func(key jose.HeaderKey, value any) map[jose.HeaderKey]any { return map[jose.HeaderKey]any{key: value} }
	embedded := jose.JSONWebKey{Key: &other.key.PublicKey, KeyID: "k"}
	hostile := map[string]string{
		"of another key":                    other.sign(may(nil)),
		"of another key, by the right name": sign(t, jose.ES256, other.key, header("kid", "k"), may(nil)),
		"of a key that it brings along":     sign(t, jose.ES256, other.key, header("jwk", embedded), may(nil)),
		"of a key at a URL":                 sign(t, jose.ES256, other.key, header("jku", "https://evil.example/keys"), may(nil)),
		"of a certificate it brings along":  sign(t, jose.ES256, other.key, header("x5c", [][]byte{other.der}), may(nil)),
		"with our certificate, not our key": sign(t, jose.ES256, other.key, header("x5c", [][]byte{key.der}), may(nil)),
		"of another kind of key":            sign(t, jose.RS256, rsaKey, nil, may(nil)),
		"alg none":                          encode(`{"alg":"none"}`) + "." + parts[1] + ".",
		"alg none, signed":                  encode(`{"alg":"none"}`) + "." + parts[1] + "." + parts[2],
		"alg nOnE":                          encode(`{"alg":"nOnE"}`) + "." + parts[1] + ".",
		"hashed with the public key":        sign(t, jose.HS256, public, nil, may(nil)),
		"hashed with the certificate":       sign(t, jose.HS256, []byte(key.certificates()), nil, may(nil)),
		"hashed with the file of keys":      sign(t, jose.HS512, []byte(key.jwks("k")), nil, may(nil)),
		"an extension that must be known":   sign(t, jose.ES256, key.key, header("crit", []string{"exp2"}), may(nil)),
		"with other claims":                 parts[0] + "." + encode(`{"iss":"issuer"}`) + "." + parts[2],
		"without a signature":               parts[0] + "." + parts[1] + ".",
		"cut":                               good[:len(good)-4],
		"expired":                           key.sign(may(claims{"exp": unix(-2 * time.Minute)})),
		"that never expires":                key.sign(may(claims{"exp": nil})),
		"of tomorrow":                       key.sign(may(claims{"nbf": unix(time.Hour)})),
		"of another issuer":                 key.sign(may(claims{"iss": "other"})),
		"of no issuer":                      key.sign(may(claims{"iss": nil})),
		"for another service":               key.sign(may(claims{"aud": "other"})),
		"for no service":                    key.sign(may(claims{"aud": nil})),
		"for a prefix of the service":       key.sign(may(claims{"aud": "regist"})),
		"that says nothing":                 key.sign(may(claims{"access": nil})),
		"about another kind of thing":       key.sign(may(claims{"access": []claims{{"type": "image", "name": "team/app", "actions": []string{"*"}}}})),
		"about a name that is none":         key.sign(may(claims{"access": []claims{{"type": "repository", "name": "team/../team/app", "actions": []string{"*"}}}})),
		"about all names":                   key.sign(may(claims{"access": []claims{{"type": "repository", "name": "**", "actions": []string{"*"}}}})),
		"encrypted":                         parts[0] + "." + parts[1] + "." + parts[2] + ".x.y",
		"nothing":                           "",
	}
	for name, s := range map[string]*site{"certificates": trusting(t, key.certificates()), "keys": trusting(t, key.jwks("k"))} {
		s.want(202, bearer(good), "POST", "/v2/team/app/blobs/uploads/", nil)
		before := s.state()
		for what, token := range hostile {
			for _, r := range []struct{ method, path string }{{"GET", "/v2/team/app/manifests/1"}, {"POST", "/v2/team/app/blobs/uploads/"}} {
				if w := s.do(bearer(token), r.method, r.path, nil); w.Code != 401 {
					t.Errorf("%s: a token %s: %d", name, what, w.Code)
				}
			}
		}
		if s.state() != before {
			t.Errorf("%s: something changed", name)
		}
	}
	// An expired certificate cannot vouch for other keys; its own key stays trusted.
	s := trusting(t, old.certificates())
	s.want(200, bearer(old.sign(may(nil))), "GET", "/v2/team/app/manifests/1", nil)
}

func TestInvalidKeyFiles(t *testing.T) {
	key := newIssuer(t, time.Hour)
	private, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.key, KeyID: "k"}}})
	must(t, err)
	for text, want := range map[string]string{
		`{"keys":[]}`: "no key", `{`: "not a JSON Web Key Set", `{"keys":[{"kty":"oct","k":"AAAA","kid":"k"}]}`: "is private", string(private): "is private", "x": "no certificate",
	} {
		path := filepath.Join(t.TempDir(), "keys")
		must(t, os.WriteFile(path, []byte(text), 0o600))
		token := auth.Token{Realm: "https://x", Service: "s", Issuer: "i", JWKS: path}
		if !strings.HasPrefix(text, "{") {
			token.JWKS, token.Certificates = "", path
		}
		if _, err := auth.New(auth.Options{Token: &token}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	for _, token := range []auth.Token{{}, {Realm: "r", Service: "s", Issuer: "i"}, {Realm: "r", Service: "s", Issuer: "i", JWKS: "a", Certificates: "b"}, {Realm: "r", Service: "s", Issuer: "i", JWKS: "nowhere"}} {
		if _, err := auth.New(auth.Options{Token: &token}); err == nil {
			t.Errorf("%+v is taken", token)
		}
	}
}
