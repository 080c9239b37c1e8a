package auth

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"go.uber.org/zap"

	"airmirror/api/filewatch"
	"airmirror/api/registry"
	"airmirror/mirror"
)

// Token configures the tokens that are accepted: signed tokens of an issuer in the scheme of Docker's registries, which
// list what their holder may do. They are verified with the issuer's public keys, without contacting it.
// https://distribution.github.io/distribution/spec/auth/jwt/
type Token struct {
	Realm   string // the URL where clients get tokens
	Service string // the expected audience (aud)
	Issuer  string // the expected issuer (iss)
	// Certificates is a PEM file. Its keys sign tokens, or the certificates that are embedded in tokens.
	Certificates string
	// JWKS is a file with a JSON Web Key Set: https://www.rfc-editor.org/rfc/rfc7517
	JWKS string
}

// algorithms are the accepted signature algorithms, all of them asymmetric. Tokens with another one, or none, are
// refused.
var algorithms = []jose.SignatureAlgorithm{
	jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA,
}

// verifier verifies the tokens of one issuer.
type verifier struct {
	token Token
	names mirror.Names
	keys  *filewatch.Value[keys]
}

type keys struct {
	all   []jose.JSONWebKey
	roots *x509.CertPool // nil if keys come from a JWKS file
}

// grants are the permissions in a token.
type grants struct {
	subject string
	catalog bool
	repos   map[mirror.Repo][]string
}

func newVerifier(token Token, names mirror.Names, log *zap.Logger) (*verifier, error) {
	path, read := token.JWKS, readJWKS
	if token.Certificates != "" {
		path, read = token.Certificates, readCertificates
	}
	switch {
	case token.Realm == "" || token.Service == "" || token.Issuer == "":
		return nil, errors.New("realm, service and issuer are required for tokens")
	case (token.JWKS == "") == (token.Certificates == ""):
		return nil, errors.New("name either a file of certificates or a file of keys to verify tokens with")
	}
	watched, err := filewatch.New(filewatch.Options[keys]{
		Files: []string{path}, Interval: watchInterval, Load: func() (keys, error) { return readFile(path, read) }, Log: log,
	})
	return &verifier{token: token, names: names, keys: watched}, err
}

func readJWKS(text []byte) (k keys, err error) {
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(text, &set); err != nil {
		return k, fmt.Errorf("it is not a JSON Web Key Set: %w", err)
	}
	for _, key := range set.Keys {
		switch {
		case !key.IsPublic():
			return k, fmt.Errorf("the key %q is private: only public keys belong in this file", key.KeyID)
		case key.Use != "enc":
			k.all = append(k.all, key)
		}
	}
	if len(k.all) == 0 {
		return k, errors.New("it contains no key")
	}
	return k, nil
}

func readCertificates(text []byte) (k keys, err error) {
	k.roots = x509.NewCertPool()
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return k, err
		}
		k.roots.AddCert(cert)
		k.all = append(k.all, jose.JSONWebKey{Key: cert.PublicKey})
	}
	if len(k.all) == 0 {
		return k, errors.New("it contains no certificate")
	}
	return k, nil
}

// candidates returns the keys that may have signed a token. The key ID in the token is only a hint. A key embedded in
// the token counts if a trusted certificate has signed it.
func (k keys) candidates(header jose.Header) []jose.JSONWebKey {
	if k.roots != nil {
		chains, err := header.Certificates(x509.VerifyOptions{Roots: k.roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
		if err == nil {
			return []jose.JSONWebKey{{Key: chains[0][0].PublicKey}}
		}
	}
	if i := slices.IndexFunc(k.all, func(key jose.JSONWebKey) bool { return key.KeyID != "" && key.KeyID == header.KeyID }); i >= 0 {
		return k.all[i : i+1]
	}
	return k.all
}

// verify returns the permissions in a token if it is valid now.
func (v *verifier) verify(text string) (*grants, error) {
	token, err := jwt.ParseSigned(text, algorithms)
	if err != nil {
		return nil, fmt.Errorf("it is malformed: %w", err)
	}
	var claims struct {
		jwt.Claims
		Access []struct {
			Type    string   `json:"type"`
			Name    string   `json:"name"`
			Actions []string `json:"actions"`
		} `json:"access"`
	}
	err = errors.New("it is not signed by a known key")
	for _, key := range v.keys.Get().candidates(token.Headers[0]) {
		if err = token.Claims(key.Key, &claims); err == nil {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("its signature is invalid: %w", err)
	}
	if claims.Expiry == nil {
		return nil, errors.New("it has no expiry")
	}
	if err := claims.Validate(jwt.Expected{Issuer: v.token.Issuer, AnyAudience: jwt.Audience{v.token.Service}}); err != nil {
		return nil, err
	}
	g := &grants{subject: claims.Subject, repos: map[mirror.Repo][]string{}}
	for _, access := range claims.Access {
		switch access.Type {
		case "repository":
			// The name may be bare or include the host. The ns parameter of the request does not change the meaning of
			// a token.
			if repo, err := v.names.Repo(access.Name, ""); err == nil {
				g.repos[repo] = append(g.repos[repo], access.Actions...)
			}
		case "registry":
			g.catalog = g.catalog || access.Name == "catalog" && slices.Contains(access.Actions, "*")
		}
	}
	return g, nil
}

// allow reports whether a token allows an operation. No token allows an operation on all repositories.
func (g *grants) allow(op registry.Operation) bool {
	actions := g.repos[op.Repo]
	return slices.Contains(actions, string(op.Action)) || slices.Contains(actions, "*")
}

// allowsAny reports whether a token allows an action in any repository.
func (g *grants) allowsAny(action registry.Action) bool {
	for repo := range g.repos {
		if g.allow(registry.Operation{Action: action, Repo: repo}) {
			return true
		}
	}
	return false
}
