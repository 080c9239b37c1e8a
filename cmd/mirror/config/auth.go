package config

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.uber.org/zap"

	"airmirror/api/auth"
	"airmirror/api/loopback"
	"airmirror/api/registry"
	"airmirror/cmd/mirror/config/settings"
	"airmirror/mirror"
	"airmirror/upstream"
)

// Auth configures who may do what; see [auth.Options].
type Auth struct {
	HtpasswdFile  string              `yaml:"htpasswdFile"` // "" for htpasswd in the data folder, which may be missing
	InitialUser   InitialUser         `yaml:"initialUser"`
	AnonymousPull bool                `yaml:"anonymousPull"`
	AnonymousPush bool                `yaml:"anonymousPush"` // and delete
	LoopbackPush  LoopbackPush        `yaml:"loopbackPush"`
	Groups        map[string][]string `yaml:"groups"`
	Rules         []Rule              `yaml:"rules"`
	Token         Token               `yaml:"token"`
	URL           string              `yaml:"url"`
}

// Rule permits actions on repositories.
type Rule struct {
	Users        []string `yaml:"users,omitempty"`
	Groups       []string `yaml:"groups,omitempty"`
	Repositories []string `yaml:"repositories"`
	Actions      []string `yaml:"actions"`
}

// Token configures an issuer of tokens. There is none if it is the zero value.
type Token struct {
	Realm          string `yaml:"realm"`
	Service        string `yaml:"service"`
	Issuer         string `yaml:"issuer"`
	CertBundleFile string `yaml:"certBundleFile"`
	JWKSFile       string `yaml:"jwksFile"`
}

// LoopbackPush says which clients on this machine may push without a login.
type LoopbackPush string

// The values of [LoopbackPush].
const (
	LoopbackAuto  LoopbackPush = "auto"  // processes that cannot be a proxy; see [loopback.Checker]
	LoopbackAll   LoopbackPush = "true"  // every client whose request has no sign of a proxy
	LoopbackNever LoopbackPush = "false" // none
)

// UnmarshalText implements [encoding.TextUnmarshaler].
func (l *LoopbackPush) UnmarshalText(text []byte) error {
	switch value := LoopbackPush(text); value {
	case LoopbackAuto, LoopbackAll, LoopbackNever:
		*l = value
		return nil
	}
	return errors.New("want auto, true or false")
}

// MarshalText implements [encoding.TextMarshaler].
func (l LoopbackPush) MarshalText() ([]byte, error) { return []byte(l), nil }

// NeedsLogin reports whether a pull certainly needs a login. Rules can require one even if it returns false.
func (c Auth) NeedsLogin() bool { return !c.AnonymousPull && len(c.Rules) == 0 }

func (c Token) check() error {
	if c == (Token{}) {
		return nil
	}
	if !isHTTP(c.Realm) {
		return fmt.Errorf("%q is not the URL where clients get tokens", c.Realm)
	}
	if c.Service == "" || c.Issuer == "" || (c.CertBundleFile == "") == (c.JWKSFile == "") {
		return fmt.Errorf("%s: tokens also need service and issuer, and either certBundleFile or jwksFile to verify them", c.Realm)
	}
	return nil
}

// isHTTP reports whether text is an absolute http or https URL.
func isHTTP(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}

// checkNoRules returns an error if a key was set that has no effect together with rules.
func (c Auth) checkNoRules(origins settings.Origins, key string, value bool) error {
	if _, set := origins[key]; set && len(c.Rules) > 0 {
		return fmt.Errorf("%t: it has no effect together with auth.rules: remove it, and write a rule for the user %s", value, auth.Anonymous)
	}
	return nil
}

func (c Auth) checkRules(names mirror.Names) error {
	var known []string
	for _, action := range auth.Actions() {
		known = append(known, string(action))
	}
	for i, rule := range c.Rules {
		for _, action := range rule.Actions {
			if nearest, ok := settings.Nearest(action, known); ok && nearest != action {
				return fmt.Errorf("rule %d: unknown action %s: did you mean %s?", i+1, action, nearest)
			}
		}
	}
	_, err := auth.New(auth.Options{Names: names, Rules: c.authRules(), Groups: c.Groups})
	return err
}

func (c Auth) checkURL() error {
	if c.URL != "" && !isHTTP(c.URL) {
		return fmt.Errorf("%q is not a URL like https://reg.example", c.URL)
	}
	return nil
}

func (c Auth) authRules() []auth.Rule {
	rules := make([]auth.Rule, len(c.Rules))
	for i, r := range c.Rules {
		rules[i] = auth.Rule{Users: r.Users, Groups: r.Groups, Repositories: r.Repositories}
		for _, action := range r.Actions {
			rules[i].Actions = append(rules[i].Actions, registry.Action(action))
		}
	}
	return rules
}

// Htpasswd returns the path of the file of users.
func (c Config) Htpasswd() string {
	if c.Auth.HtpasswdFile != "" {
		return c.Auth.HtpasswdFile
	}
	return filepath.Join(c.Data, "htpasswd")
}

// Access returns the options of package auth. It fails if the configured file of users does not exist.
func (c Config) Access(log *zap.Logger) (auth.Options, error) {
	opts := auth.Options{
		Names: c.Names(), Htpasswd: c.Htpasswd(), Certificates: c.TLS.ClientCAFile != "", Rules: c.Auth.authRules(), Groups: c.Auth.Groups,
		NoAnonymousPull: !c.Auth.AnonymousPull, AnonymousPush: c.Auth.AnonymousPush, NoLoopback: c.Auth.LoopbackPush == LoopbackNever, URL: c.Auth.URL, Log: log,
	}
	if c.Auth.LoopbackPush == LoopbackAuto {
		opts.CheckPeer = loopback.New(c.loopbackPorts()...).Check
	}
	if c.Auth.HtpasswdFile != "" {
		if _, err := os.Stat(c.Auth.HtpasswdFile); errors.Is(err, os.ErrNotExist) {
			return opts, fmt.Errorf("the file of users %s does not exist: create it with 'mirror user add --htpasswd %[1]s NAME'", c.Auth.HtpasswdFile)
		}
	}
	if t := c.Auth.Token; t != (Token{}) {
		opts.Token = &auth.Token{Realm: t.Realm, Service: t.Service, Issuer: t.Issuer, Certificates: t.CertBundleFile, JWKS: t.JWKSFile}
	}
	return opts, nil
}

// OpenLogins returns a warning if everyone can pull content that the mirror fetches with credentials of its own. It
// returns "" if there are no such upstreams, if a pull needs a login, or if rules say who may pull.
func (c Config) OpenLogins() string {
	if len(c.Auth.Rules) > 0 || !c.Auth.AnonymousPull {
		return ""
	}
	var hosts []string
	for _, u := range c.Upstreams {
		if slices.ContainsFunc(u.Endpoints, func(e upstream.EndpointConfig) bool { return e.Credentials != (upstream.Credentials{}) }) {
			hosts = append(hosts, u.Host)
		}
	}
	if len(hosts) == 0 {
		return ""
	}
	return "everyone can pull what the mirror fetches from " + strings.Join(hosts, ", ") + " with its own login: set 'auth.anonymousPull: false' to require a login, or use auth.rules"
}
