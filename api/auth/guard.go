// Package auth identifies clients and decides what they may do. It implements [registry.Authorizer].
//
// A client identifies itself with a name and password from an htpasswd file, with an API token ([Tokens]), with a TLS client
// certificate, with a token of this mirror that stands for a login ([Guard.Handler]), or with a token of a trusted issuer
// ([Token]). Browsers have sessions for the admin API and the console ([Guard.API]). All
// other clients are anonymous. Every client has the rights of anonymous clients: a login never takes rights away.
//
// As long as there are no users and no rules, everybody may pull, and clients on this machine may push and delete. With
// users, users may do everything and anonymous clients may pull. Rules replace both defaults.
package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"go.uber.org/zap"

	"airmirror/api/registry"
	"airmirror/mirror"
)

// Options configure a [Guard]. The zero value has no users.
type Options struct {
	// Names are the names of the guarded mirror.
	Names mirror.Names
	// Htpasswd is the path of a file with names and bcrypt hashes. Changes take effect while the guard is used. The
	// file need not exist.
	Htpasswd string
	// Certificates identifies clients by the common names of their certificates, which TLS has to verify.
	Certificates bool
	// Token accepts tokens of an issuer. Nil accepts none.
	Token *Token
	// Tokens are the API tokens that clients can log in with. Nil are none.
	Tokens *Tokens

	// Rules define who may do what. Without rules, NoAnonymousPull and AnonymousPush define the rights of anonymous
	// clients. AnonymousPush includes deleting.
	Rules           []Rule
	Groups          map[string][]string // name → users
	NoAnonymousPull bool
	// NoLoopback removes the additional rights of this machine while there are no users.
	NoLoopback bool
	// CheckPeer returns an error if a loopback connection may come from a proxy on this machine that adds no headers,
	// instead of from a client. The error explains why. If CheckPeer is nil, every client of such a proxy has the
	// rights of this machine.
	CheckPeer     func(remote, local netip.AddrPort) error
	AnonymousPush bool

	// URL is the address of the mirror for its clients. If it is empty, it is derived from each request.
	URL string
	Log *zap.Logger
}

// Guard implements [registry.Authorizer]. It is safe for concurrent use.
type Guard struct {
	shared *shared
	policy atomic.Pointer[policy]
}

// shared is the state that survives a change of the options.
type shared struct {
	secret  []byte // random, per process: the key for remembering verified passwords
	signing []byte // the key for signing tokens
	// elapsed returns how long the process has been running. Token lifetimes are measured by it, so that changes of the
	// clock do not affect them.
	elapsed   func() time.Duration
	started   time.Time // the time of day when elapsed was zero
	limiter   *loginLimiter
	hashSlots chan struct{} // limits how many passwords are hashed at a time
	// knownHashSlots is the same limit for passwords that were correct before; see [policy.recheck].
	knownHashSlots chan struct{}
	// verified maps a password that was correct, keyed with its hash in the file, to the time after which it is checked
	// again. A changed password has another key. A change for one user does not affect the entries of others, whose
	// check would take time and could be refused by the limiter.
	verified *lru.Cache[[sha256.Size]byte, time.Time]
	sessions *sessions
}

// New returns a guard. The error names the rule or file that is invalid.
func New(opts Options) (*Guard, error) {
	began := time.Now()
	g := &Guard{shared: &shared{
		elapsed: func() time.Duration { return time.Since(began) }, started: began.Round(0),
		secret: make([]byte, 32), signing: make([]byte, 32), limiter: newLoginLimiter(), hashSlots: make(chan struct{}, maxHashing), knownHashSlots: make(chan struct{}, maxHashing),
		sessions: newSessions(),
	}}
	var err error
	if g.shared.verified, err = lru.New[[sha256.Size]byte, time.Time](maxVerified); err != nil {
		return nil, err
	}
	rand.Read(g.shared.secret) // never fails
	rand.Read(g.shared.signing)
	if err := g.Apply(opts); err != nil {
		return nil, err
	}
	return g, nil
}

// Apply replaces the options. Logins stay valid if the user still exists. After an error, nothing has changed.
func (g *Guard) Apply(opts Options) error {
	apply, err := g.Prepare(opts)
	if err != nil {
		return err
	}
	apply()
	return nil
}

// Prepare reads and checks everything that opts refer to. The returned function makes them effective at once and cannot
// fail.
func (g *Guard) Prepare(opts Options) (apply func(), err error) {
	p, err := newPolicy(opts, g.shared, g.policy.Load())
	if err != nil {
		return nil, err
	}
	return func() { g.policy.Store(p) }, nil
}

// Authorize implements [registry.Authorizer].
func (g *Guard) Authorize(header http.Header, r *http.Request, op registry.Operation) (context.Context, error) {
	return g.policy.Load().authorize(header, r, op)
}

// Allowed implements [registry.Authorizer].
func (g *Guard) Allowed(ctx context.Context, op registry.Operation) bool {
	c, _ := ctx.Value(clientKey{}).(client)
	return g.policy.Load().allowed(c, op)
}

// Handler serves tokens at [TokenPath] and passes all other requests to next. A token stands for the name and password
// that it was requested with, or for an anonymous client. It contains no permissions: these are looked up for each
// request.
func (g *Guard) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != TokenPath {
			next.ServeHTTP(w, r)
			return
		}
		g.policy.Load().issue(w, r)
	})
}

// Summary describes in one sentence who may do what.
func (g *Guard) Summary() string { return g.policy.Load().summary() }

// Users returns the number of users in the htpasswd file.
func (g *Guard) Users() int { return len(g.policy.Load().users.Get().hashes) }

type clientKey struct{}

// UserOf returns the name of the user from a request context that [Guard.Authorize] returned. It is "" if the client is
// anonymous.
func UserOf(ctx context.Context) string {
	c, _ := ctx.Value(clientKey{}).(client)
	return c.name
}
