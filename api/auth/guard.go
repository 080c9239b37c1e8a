// Package auth says who a client is and what it may do. It is what the registry API asks as [registry.Access].
//
// A client is somebody by a name and password of an htpasswd file, by a certificate that TLS verified, or by a token: of
// this mirror, which stands for a login ([Guard.Handler]), or of an issuer that it was told to trust ([Token]). Everybody
// else is anonymous. What anonymous clients may do, everybody may: nobody loses anything by a login.
//
// As long as nobody can log in and no rules are given, everybody may pull, and who sits at this machine may push and
// delete. Then users may do everything, and anonymous clients pull. Rules stand in the place of both.
package auth

import (
	"context"
	"crypto/rand"
	"net/http"
	"strconv"
	"time"

	"go.uber.org/zap"

	"airmirror/api/registry"
	"airmirror/mirror"
)

// Options say who there is, and who may do what. The zero value has no users.
type Options struct {
	// Names are those of the mirror that is guarded.
	Names mirror.Names
	// Htpasswd is a file of names and bcrypt hashes. It is followed: there are no users while it has not been there.
	Htpasswd string
	// Certificates makes users of clients by the common names of their certificates. TLS has to verify these.
	Certificates bool
	// Token has tokens of an issuer accepted; nil has none.
	Token *Token

	// Rules say who may do what. Without any, NoAnonymousPull and AnonymousPush, which has them delete, too, say what
	// anonymous clients may do.
	Rules           []Rule
	Groups          map[string][]string // name → users
	NoAnonymousPull bool
	AnonymousPush   bool

	// URL is how clients reach the mirror, if that cannot be told from their requests.
	URL string
	Log *zap.Logger
}

// Guard implements [registry.Access]. It is safe for concurrent use.
type Guard struct {
	names    mirror.Names
	log      *zap.Logger
	users    *follower[*users]
	certs    bool
	external *verifier // nil if there is no issuer
	rules    rules
	// open says that no rules were given and nothing was opened: this machine may do everything until there are users.
	open bool
	url  string

	secret  []byte // of this process: passwords that are right are remembered by it
	signing []byte // and tokens signed
	slow    *slowdown
	hashing chan struct{} // holds a token for each password that is being checked
}

// New returns a guard. Its error says which rule or file is wrong.
func New(opts Options) (*Guard, error) {
	if opts.Log == nil {
		opts.Log = zap.NewNop()
	}
	g := &Guard{
		names: opts.Names, log: opts.Log, certs: opts.Certificates, url: opts.URL,
		open:   len(opts.Rules) == 0 && !opts.AnonymousPush,
		secret: make([]byte, 32), signing: make([]byte, 32), slow: newSlowdown(), hashing: make(chan struct{}, maxHashing),
	}
	rand.Read(g.secret) // never fails
	rand.Read(g.signing)
	var err error
	if g.rules, err = compile(opts); err != nil {
		return nil, err
	}
	if g.users, err = follow(opts.Htpasswd, true, readUsers, opts.Log); err != nil {
		return nil, err
	}
	if opts.Token != nil {
		if g.external, err = newVerifier(*opts.Token, opts.Names, opts.Log); err != nil {
			return nil, err
		}
	}
	return g, nil
}

// Reload reads the files of users and keys now, changed or not. After an error what was there before goes on to count.
func (g *Guard) Reload() error {
	if err := g.users.reload(); err != nil {
		return err
	}
	if g.external != nil {
		return g.external.keys.reload()
	}
	return nil
}

// Admit implements [registry.Access].
func (g *Guard) Admit(header http.Header, r *http.Request, ask registry.Ask) (context.Context, error) {
	ctx := r.Context()
	c, err := g.identify(r)
	if err != nil {
		g.challenge(header, r, ask, c, err)
		return ctx, err
	}
	if !g.admits(c, ask) {
		if c.home = g.atHome(r); !c.home {
			err = g.refuse(r, c, ask)
			g.challenge(header, r, ask, c, err)
			return ctx, err
		}
	}
	if c.name != "" || c.grants != nil || c.home {
		ctx = context.WithValue(ctx, clientKey{}, c)
	}
	return ctx, nil
}

// admits reports whether c may do what is asked, wherever it is.
func (g *Guard) admits(c client, ask registry.Ask) bool {
	switch ask.Action {
	case registry.Ping:
		return c.proved || !g.logins()
	case registry.List: // what is in the catalog is asked one by one
		return c.proved || g.rules.somewhere("", registry.Pull)
	}
	return g.may(c, ask)
}

// May implements [registry.Access].
func (g *Guard) May(ctx context.Context, ask registry.Ask) bool {
	c, _ := ctx.Value(clientKey{}).(client)
	return g.may(c, ask)
}

func (g *Guard) may(c client, ask registry.Ask) bool {
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
		return c.grants.allow(ask) || g.rules.allow("", ask)
	}
	return g.rules.allow(c.name, ask)
}

// atHome reports whether a request may do everything since nobody can log in and it comes from this machine.
func (g *Guard) atHome(r *http.Request) bool { return g.open && !g.hasUsers() && fromHere(r) }

// logins reports whether there is somebody to log in as.
func (g *Guard) logins() bool { return g.external != nil || len(g.users.get().hashes) > 0 }

func (g *Guard) hasUsers() bool { return g.certs || g.logins() }

type clientKey struct{}

// UserOf returns the name of the user whose request has this context, as [Guard.Admit] returned it; "" if the client is
// anonymous.
func UserOf(ctx context.Context) string {
	c, _ := ctx.Value(clientKey{}).(client)
	return c.name
}

// Summary says in a sentence who may do what, for people.
func (g *Guard) Summary() string {
	count := len(g.users.get().hashes)
	switch {
	case g.rules.given > 0:
		return "who may pull, push and delete is said by " + number(g.rules.given, "rule")
	case !g.open:
		return "anybody may push and delete, from anywhere"
	case !g.hasUsers():
		return "without users, only this machine may push and delete: 'mirror user add NAME' makes one"
	}
	who := "holders of a token may pull, push and delete what it says"
	switch {
	case count > 0:
		who = number(count, "user") + " may pull, push and delete"
	case g.certs:
		who = "clients with a certificate may pull, push and delete"
	}
	if g.rules.somewhere("", registry.Pull) {
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

const lookInterval = time.Second
