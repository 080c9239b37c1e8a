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

	"airmirror/api/registry"
	"airmirror/mirror"
)

// Token says whose tokens are accepted: those of the token scheme of Docker's registries, which an issuer signs, and which
// say what their holder may do. They are verified with its keys alone, without asking it.
// https://distribution.github.io/distribution/spec/auth/jwt/
type Token struct {
	Realm   string // the URL where clients get them
	Service string // what they say that they are for: aud
	Issuer  string // and who they are from: iss
	// Certificates is a file of certificates in PEM, whose keys sign tokens, or the certificates that tokens bring along.
	Certificates string
	// JWKS is a file of keys: https://www.rfc-editor.org/rfc/rfc7517
	JWKS string
}

// algorithms are those of signatures by a key of which the mirror has but the public part. A token that names another one,
// or none, is not looked at further.
var algorithms = []jose.SignatureAlgorithm{
	jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA,
}

// verifier knows the tokens of one issuer.
type verifier struct {
	token Token
	names mirror.Names
	keys  *follower[keys]
}

type keys struct {
	all   []jose.JSONWebKey
	roots *x509.CertPool // nil if there are no certificates
}

// grants are what a token says.
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
		return nil, errors.New("tokens need a realm, a service and an issuer")
	case (token.JWKS == "") == (token.Certificates == ""):
		return nil, errors.New("tokens are verified with a file of certificates or of keys: name one of them")
	}
	followed, err := follow(path, read, log)
	return &verifier{token: token, names: names, keys: followed}, err
}

func readJWKS(text []byte) (k keys, err error) {
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(text, &set); err != nil {
		return k, fmt.Errorf("it is no set of JSON web keys: %w", err)
	}
	for _, key := range set.Keys {
		switch {
		case !key.IsPublic():
			return k, fmt.Errorf("the key %q is a secret one: only public keys belong here", key.KeyID)
		case key.Use != "enc":
			k.all = append(k.all, key)
		}
	}
	if len(k.all) == 0 {
		return k, errors.New("there is no key in it")
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
		return k, errors.New("there is no certificate in it")
	}
	return k, nil
}

// candidates are the keys that may have signed a token. Which one did is only a hint of the token's; a key that it brings
// along counts if a certificate that is trusted vouches for it.
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

// verify returns what a token says, if it is one that is to be believed now.
func (v *verifier) verify(text string) (*grants, error) {
	token, err := jwt.ParseSigned(text, algorithms)
	if err != nil {
		return nil, fmt.Errorf("it cannot be read: %w", err)
	}
	var claims struct {
		jwt.Claims
		Access []struct {
			Type    string   `json:"type"`
			Name    string   `json:"name"`
			Actions []string `json:"actions"`
		} `json:"access"`
	}
	err = errors.New("it is not signed by a key that is known")
	for _, key := range v.keys.get().candidates(token.Headers[0]) {
		if err = token.Claims(key.Key, &claims); err == nil {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("its signature is wrong: %w", err)
	}
	if claims.Expiry == nil {
		return nil, errors.New("it does not say when it expires")
	}
	if err := claims.Validate(jwt.Expected{Issuer: v.token.Issuer, AnyAudience: jwt.Audience{v.token.Service}}); err != nil {
		return nil, err
	}
	g := &grants{subject: claims.Subject, repos: map[mirror.Repo][]string{}}
	for _, access := range claims.Access {
		switch access.Type {
		case "repository":
			// As a bare name, or with its host: what ns says of a request has no say in what a token means.
			if repo, err := v.names.Repo(access.Name, ""); err == nil {
				g.repos[repo] = append(g.repos[repo], access.Actions...)
			}
		case "registry":
			g.catalog = g.catalog || access.Name == "catalog" && slices.Contains(access.Actions, "*")
		}
	}
	return g, nil
}

// allow reports whether a token says that something may be done; nothing does of all repositories.
func (g *grants) allow(op registry.Operation) bool {
	actions := g.repos[op.Repo]
	return slices.Contains(actions, string(op.Action)) || slices.Contains(actions, "*")
}
