package main

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	"go.uber.org/zap"

	"airmirror/api/auth"
	"airmirror/api/loopback"
	"airmirror/api/registry"
	"airmirror/cmd/mirror/settings"
	"airmirror/mirror"
)

// authConfig says who may do what; see [auth.Options].
type authConfig struct {
	// HtpasswdFile is the file of users; the one in the data folder if this is empty, which need not be there.
	HtpasswdFile  string `yaml:"htpasswdFile"`
	AnonymousPull bool   `yaml:"anonymousPull"` // without rules
	AnonymousPush bool   `yaml:"anonymousPush"` // and delete; without rules
	// LoopbackPush has clients on this machine push and delete, and read metrics, while there are neither users nor rules.
	LoopbackPush loopbackPush        `yaml:"loopbackPush"`
	Groups       map[string][]string `yaml:"groups"`
	Rules        []authRule          `yaml:"rules"`
	Token        tokenConfig         `yaml:"token"`
	// URL is how clients reach the mirror, for proxies that do not tell.
	URL string `yaml:"url"`
}

// wantsLogin reports whether it is certain that who pulls has to log in: where there are rules, they say more.
func (c authConfig) wantsLogin() bool { return !c.AnonymousPull && len(c.Rules) == 0 }

type authRule struct {
	Users        []string `yaml:"users,omitempty"`
	Groups       []string `yaml:"groups,omitempty"`
	Repositories []string `yaml:"repositories"`
	Actions      []string `yaml:"actions"`
}

// tokenConfig is an issuer of tokens; there is none if it is empty.
type tokenConfig struct {
	Realm          string `yaml:"realm"`
	Service        string `yaml:"service"`
	Issuer         string `yaml:"issuer"`
	CertBundleFile string `yaml:"certBundleFile"`
	JWKSFile       string `yaml:"jwksFile"`
}

func (c tokenConfig) check() error {
	if c == (tokenConfig{}) {
		return nil
	}
	if u, err := url.Parse(c.Realm); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return fmt.Errorf("%q is not the URL where clients get tokens", c.Realm)
	}
	if c.Service == "" || c.Issuer == "" || (c.CertBundleFile == "") == (c.JWKSFile == "") {
		return fmt.Errorf("%s: tokens need service and issuer as well, and a certBundleFile or a jwksFile to verify them with", c.Realm)
	}
	return nil
}

// checkUnruled reports whether a key was set that rules leave no room for.
func (c authConfig) checkUnruled(origins settings.Origins, key string, value bool) error {
	if _, said := origins[key]; said && len(c.Rules) > 0 {
		return fmt.Errorf("%t: that does not count where there are rules: leave it out, and have a rule for the user %s", value, auth.Anonymous)
	}
	return nil
}

func (c authConfig) checkRules(names mirror.Names) error {
	var known []string
	for _, action := range auth.Actions() {
		known = append(known, string(action))
	}
	for i, rule := range c.Rules {
		for _, action := range rule.Actions {
			if nearest, ok := settings.Nearest(action, known); ok && nearest != action {
				return fmt.Errorf("rule %d: there is no action %s: is it %s?", i+1, action, nearest)
			}
		}
	}
	_, err := auth.New(auth.Options{Names: names, Rules: c.rules(), Groups: c.Groups})
	return err
}

func (c authConfig) checkURL() error {
	if u, err := url.Parse(c.URL); c.URL != "" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "") {
		return fmt.Errorf("%q is not a URL like https://reg.example", c.URL)
	}
	return nil
}

func (c authConfig) rules() []auth.Rule {
	rules := make([]auth.Rule, len(c.Rules))
	for i, r := range c.Rules {
		rules[i] = auth.Rule{Users: r.Users, Groups: r.Groups, Repositories: r.Repositories}
		for _, action := range r.Actions {
			rules[i].Actions = append(rules[i].Actions, registry.Action(action))
		}
	}
	return rules
}

// htpasswd is the file of users.
func (c config) htpasswd() string {
	if c.Auth.HtpasswdFile != "" {
		return c.Auth.HtpasswdFile
	}
	return filepath.Join(c.Data, "htpasswd")
}

// guard is what admits clients.
func (c config) guard(log *zap.Logger) (*auth.Guard, error) {
	opts, err := c.access(log)
	if err != nil {
		return nil, err
	}
	guard, err := auth.New(opts)
	if err != nil {
		return nil, &exitError{exitUsage, err}
	}
	return guard, nil
}

// access is what a guard is told.
func (c config) access(log *zap.Logger) (auth.Options, error) {
	opts := auth.Options{
		Names: c.names(), Htpasswd: c.htpasswd(), Certificates: c.TLS.ClientCAFile != "", Rules: c.Auth.rules(), Groups: c.Auth.Groups,
		NoAnonymousPull: !c.Auth.AnonymousPull, AnonymousPush: c.Auth.AnonymousPush, NoLoopback: c.Auth.LoopbackPush == loopbackNever, URL: c.Auth.URL, Log: log,
	}
	if c.Auth.LoopbackPush == loopbackClients {
		opts.Loopback = loopback.New(c.loopbackUpstreams()...).Client
	}
	if c.Auth.HtpasswdFile != "" {
		if _, err := os.Stat(c.Auth.HtpasswdFile); errors.Is(err, os.ErrNotExist) {
			return opts, &exitError{exitUsage, fmt.Errorf("there is no file of users %s: make it with 'mirror user add --htpasswd %[1]s NAME'", c.Auth.HtpasswdFile)}
		}
	}
	if t := c.Auth.Token; t != (tokenConfig{}) {
		opts.Token = &auth.Token{Realm: t.Realm, Service: t.Service, Issuer: t.Issuer, Certificates: t.CertBundleFile, JWKS: t.JWKSFile}
	}
	return opts, nil
}
