package auth

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strconv"

	"go.uber.org/zap"

	"airmirror/api/filewatch"
	"airmirror/api/registry"
	"airmirror/mirror"
)

// policy is an immutable set of options, with the watched users file.
type policy struct {
	*shared
	names    mirror.Names
	log      *zap.Logger
	htpasswd string // the path of the users file; may be empty
	users    *filewatch.Value[*users]
	certs    bool
	issuer   *verifier // nil if no issuer is trusted
	tokens   *Tokens   // nil if there are no API tokens
	rules    rules
	groups   map[string][]string
	// defaultRules means that neither rules nor AnonymousPush are configured: this machine has all rights as long as
	// there are no users.
	defaultRules bool
	// loopback means that requests from this machine have additional rights as long as there are no users.
	loopback  bool
	checkPeer func(remote, local netip.AddrPort) error // see [Options.CheckPeer]
	url       string
}

// newPolicy returns the policy for opts. If it has the same users file as old, it continues to watch that one, so that
// its users stay known while the file is missing.
func newPolicy(opts Options, kept *shared, old *policy) (p *policy, err error) {
	if opts.Log == nil {
		opts.Log = zap.NewNop()
	}
	p = &policy{
		shared: kept, names: opts.Names, log: opts.Log, certs: opts.Certificates, url: opts.URL, tokens: opts.Tokens, groups: opts.Groups, loopback: !opts.NoLoopback,
		checkPeer:    opts.CheckPeer,
		defaultRules: len(opts.Rules) == 0 && !opts.AnonymousPush,
	}
	if p.rules, err = compile(opts); err != nil {
		return nil, err
	}
	if opts.Token != nil {
		if p.issuer, err = newVerifier(*opts.Token, opts.Names, opts.Log); err != nil {
			return nil, err
		}
	}
	p.htpasswd = opts.Htpasswd
	if old == nil || old.htpasswd != opts.Htpasswd {
		p.users, err = watchUsers(opts.Htpasswd, opts.Log)
		return p, err
	}
	p.users = old.users
	if err = p.users.Reload(); errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	return p, err
}

// authorize implements [Guard.Authorize].
func (p *policy) authorize(header http.Header, r *http.Request, op registry.Operation) (context.Context, error) {
	ctx := r.Context()
	c, err := p.identify(r)
	if err != nil {
		p.challenge(header, r, op, c, err)
		return ctx, err
	}
	if !p.allowedAnywhere(c, op) {
		if c.local = p.mayDoAll(r); !c.local {
			err = p.denial(r, c, op)
			p.challenge(header, r, op, c, err)
			return ctx, err
		}
	}
	if c.name != "" || c.grants != nil || c.local {
		ctx = context.WithValue(ctx, clientKey{}, c)
	}
	return ctx, nil
}

// allowedAnywhere reports whether c may perform an operation wherever it connects from.
func (p *policy) allowedAnywhere(c client, op registry.Operation) bool {
	switch op.Action {
	case registry.Ping:
		return c.authenticated || !p.hasLogins()
	case registry.List: // entries of the catalog are checked one by one
		return c.authenticated || p.rules.allowsAny("", registry.Pull)
	}
	return p.allowed(c, op)
}

func (p *policy) allowed(c client, op registry.Operation) bool {
	if c.local {
		return true
	}
	if op.Action == registry.List {
		if c.grants != nil && c.grants.catalog {
			return true
		}
		op.Action = registry.Pull // who may pull from a repository may see it in lists
	}
	if c.grants != nil {
		return c.grants.allow(op) || p.rules.allow("", op)
	}
	if c.token != nil {
		return c.token.allow(c.name, op) || p.rules.allow("", op)
	}
	return p.rules.allow(c.name, op)
}

// mayDoAll reports whether a request has all rights because it comes from this machine and there are no users.
func (p *policy) mayDoAll(r *http.Request) bool { return p.defaultRules && p.isLoopback(r) }

// isLoopback reports whether a request has the additional rights of this machine, which end when there are users.
func (p *policy) isLoopback(r *http.Request) bool {
	return p.loopback && !p.hasUsers() && isLocal(r) && p.peerIsClient(r)
}

// peerIsClient reports whether a loopback request comes from a client and not from a possible proxy.
func (p *policy) peerIsClient(r *http.Request) bool {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	if p.checkPeer == nil || !ok {
		return p.checkPeer == nil || isUnixSocket(r)
	}
	remote, err := netip.ParseAddrPort(r.RemoteAddr)
	if err == nil {
		err = p.checkPeer(remote, local.AddrPort())
	}
	if err != nil {
		p.log.Info("a loopback request does not get the rights of this machine", zap.String("address", r.RemoteAddr), zap.String("reason", err.Error()))
	}
	return err == nil
}

// hasLogins reports whether clients can log in.
func (p *policy) hasLogins() bool { return p.issuer != nil || p.acceptsBasic() }

// acceptsBasic reports whether clients can log in with a name and a password, or with an API token.
func (p *policy) acceptsBasic() bool { return p.hasPasswords() || p.tokens.exist() }

func (p *policy) hasUsers() bool { return p.certs || p.hasLogins() }

func (p *policy) summary() string {
	count := len(p.users.Get().hashes)
	switch {
	case p.rules.configured > 0:
		return "pull, push and delete are subject to " + plural(p.rules.configured, "rule")
	case !p.defaultRules:
		return "anybody may push and delete, from anywhere"
	case !p.hasUsers():
		what := "push and delete"
		if !p.rules.allowsAny("", registry.Pull) {
			what = "pull, push and delete"
		}
		if !p.loopback {
			return "without users, nobody may " + what + ": create a user with 'mirror user add NAME'"
		}
		return "without users, only this machine may " + what + ": create a user with 'mirror user add NAME'"
	}
	who := "clients with a token may pull, push and delete what the token allows"
	switch {
	case count > 0:
		who = plural(count, "user") + " may pull, push and delete"
	case p.certs:
		who = "clients with a certificate may pull, push and delete"
	}
	if p.rules.allowsAny("", registry.Pull) {
		return who + ", anybody may pull"
	}
	return who + ", nobody else may do anything"
}

func plural(n int, of string) string {
	if n == 1 {
		return "1 " + of
	}
	return strconv.Itoa(n) + " " + of + "s"
}
