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

	"airmirror/api/registry"
	"airmirror/mirror"
)

// policy is what a guard goes by, until it is told otherwise.
type policy struct {
	*kept
	names    mirror.Names
	log      *zap.Logger
	users    *follower[*users]
	certs    bool
	external *verifier // nil if there is no issuer
	rules    rules
	// open says that no rules were given and nothing was opened: this machine may do everything until there are users.
	open bool
	// loopback says that requests of this machine have rights of their own as long as there are no users.
	loopback bool
	client   func(remote, local netip.AddrPort) error // see [Options.Loopback]
	url      string
}

// newPolicy returns what opts say. The users of old, if it has the same file of them, are followed on, so that a file that
// is gone by now has nobody forgotten.
func newPolicy(opts Options, kept *kept, old *policy) (p *policy, err error) {
	if opts.Log == nil {
		opts.Log = zap.NewNop()
	}
	p = &policy{
		kept: kept, names: opts.Names, log: opts.Log, certs: opts.Certificates, url: opts.URL, loopback: !opts.NoLoopback,
		client: opts.Loopback,
		open:   len(opts.Rules) == 0 && !opts.AnonymousPush,
	}
	if p.rules, err = compile(opts); err != nil {
		return nil, err
	}
	if opts.Token != nil {
		if p.external, err = newVerifier(*opts.Token, opts.Names, opts.Log); err != nil {
			return nil, err
		}
	}
	if old == nil || old.users.path != opts.Htpasswd {
		p.users, err = followOptional(opts.Htpasswd, readUsers, (*users).orLocked, opts.Log)
		return p, err
	}
	p.users = old.users
	if err = p.users.reload(); errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	return p, err
}

// admit is [Guard.Admit].
func (p *policy) admit(header http.Header, r *http.Request, ask registry.Ask) (context.Context, error) {
	ctx := r.Context()
	c, err := p.identify(r)
	if err != nil {
		p.challenge(header, r, ask, c, err)
		return ctx, err
	}
	if !p.admits(c, ask) {
		if c.home = p.atHome(r); !c.home {
			err = p.refuse(r, c, ask)
			p.challenge(header, r, ask, c, err)
			return ctx, err
		}
	}
	if c.name != "" || c.grants != nil || c.home {
		ctx = context.WithValue(ctx, clientKey{}, c)
	}
	return ctx, nil
}

// admits reports whether c may do what is asked, wherever it is.
func (p *policy) admits(c client, ask registry.Ask) bool {
	switch ask.Action {
	case registry.Ping:
		return c.proved || !p.logins()
	case registry.List: // what is in the catalog is asked one by one
		return c.proved || p.rules.somewhere("", registry.Pull)
	}
	return p.may(c, ask)
}

func (p *policy) may(c client, ask registry.Ask) bool {
	if c.home {
		return true
	}
	if ask.Action == registry.List {
		if c.grants != nil && c.grants.catalog {
			return true
		}
		ask.Action = registry.Pull // who may pull it may know of it
	}
	if c.grants != nil {
		return c.grants.allow(ask) || p.rules.allow("", ask)
	}
	return p.rules.allow(c.name, ask)
}

// atHome reports whether a request may do everything since nobody can log in and it comes from this machine.
func (p *policy) atHome(r *http.Request) bool { return p.open && p.trusted(r) }

// trusted reports whether a request has the rights of this machine, which end when there are users.
func (p *policy) trusted(r *http.Request) bool {
	return p.loopback && !p.hasUsers() && fromHere(r) && p.fromClient(r)
}

// fromClient reports whether a request over loopback comes from a client, and not from what may be a proxy.
func (p *policy) fromClient(r *http.Request) bool {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	if p.client == nil || !ok {
		return p.client == nil || overSocket(r)
	}
	remote, err := netip.ParseAddrPort(r.RemoteAddr)
	if err == nil {
		err = p.client(remote, local.AddrPort())
	}
	if err != nil {
		p.log.Info("a request over loopback has no rights of this machine", zap.String("address", r.RemoteAddr), zap.String("reason", err.Error()))
	}
	return err == nil
}

// logins reports whether there is somebody to log in as.
func (p *policy) logins() bool { return p.external != nil || p.passwords() }

func (p *policy) hasUsers() bool { return p.certs || p.logins() }

func (p *policy) summary() string {
	count := len(p.users.get().hashes)
	switch {
	case p.rules.given > 0:
		return "who may pull, push and delete is said by " + number(p.rules.given, "rule")
	case !p.open:
		return "anybody may push and delete, from anywhere"
	case !p.hasUsers():
		what := "push and delete"
		if !p.rules.somewhere("", registry.Pull) {
			what = "pull, push and delete"
		}
		if !p.loopback {
			return "without users, nobody may " + what + ": 'mirror user add NAME' makes one"
		}
		return "without users, only this machine may " + what + ": 'mirror user add NAME' makes one"
	}
	who := "holders of a token may pull, push and delete what it says"
	switch {
	case count > 0:
		who = number(count, "user") + " may pull, push and delete"
	case p.certs:
		who = "clients with a certificate may pull, push and delete"
	}
	if p.rules.somewhere("", registry.Pull) {
		return who + ", anybody may pull"
	}
	return who + ", nobody else may do anything"
}

func number(n int, of string) string {
	if n == 1 {
		return "1 " + of
	}
	return strconv.Itoa(n) + " " + of + "s"
}
