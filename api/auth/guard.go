// Package auth says who a client is and what it may do. It is what the registry API asks as [registry.Authorizer].
//
// A client is somebody by a name and password of an htpasswd file, by a certificate that TLS verified, or by a token: of
// this mirror, which stands for a login ([Guard.Handler]), or of an issuer that it was told to trust ([Token]). Everybody
// else is anonymous. What anonymous clients may do, everybody may: nobody loses anything by a login.
//
// As long as nobody can log in and no rules are given, everybody may pull, and clients on this machine may push and
// delete. Then users may do everything, and anonymous clients pull. Rules stand in the place of both.
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
	// NoLoopback gives requests of this machine no rights of their own while there are no users.
	NoLoopback bool
	// CheckPeer says of a connection over loopback why it may not be that of a client on this machine, but of a proxy on it
	// that says nothing of its clients. With nil, whoever reaches the mirror by such a proxy has the rights of this machine.
	CheckPeer     func(remote, local netip.AddrPort) error
	AnonymousPush bool

	// URL is how clients reach the mirror, if that cannot be told from their requests.
	URL string
	Log *zap.Logger
}

// Guard implements [registry.Authorizer]. It is safe for concurrent use.
type Guard struct {
	shared *shared
	policy atomic.Pointer[policy]
}

// kept is what outlives a change of the options.
type shared struct {
	secret  []byte // of this process: passwords that are right are remembered by it
	signing []byte // and tokens signed
	// elapsed is how long this process runs. Tokens are good for the time that passes by it, whatever becomes of the clock.
	elapsed   func() time.Duration
	started   time.Time // when elapsed was zero, by the clock at that moment
	limiter   *loginLimiter
	hashSlots chan struct{} // holds a token for each password that is being checked
	// knownHashSlots is that for those that were right before; see [policy.again].
	knownHashSlots chan struct{}
	// verified has passwords that were found to be right, by the hash that they were compared with, and until when that
	// counts. So a password that was changed is never taken from it, and to change one makes nobody else's to be checked
	// again: that takes a while, and is refused where many others have failed.
	verified *lru.Cache[[sha256.Size]byte, time.Time]
}

// New returns a guard. Its error says which rule or file is wrong.
func New(opts Options) (*Guard, error) {
	began := time.Now()
	g := &Guard{shared: &shared{
		elapsed: func() time.Duration { return time.Since(began) }, started: began.Round(0),
		secret: make([]byte, 32), signing: make([]byte, 32), limiter: newLoginLimiter(), hashSlots: make(chan struct{}, maxHashing), knownHashSlots: make(chan struct{}, maxHashing),
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

// Apply has other options count from now on. Who is logged in stays so, if there still is such a user. After an error
// everything is as it was.
func (g *Guard) Apply(opts Options) error {
	apply, err := g.Prepare(opts)
	if err != nil {
		return err
	}
	apply()
	return nil
}

// Prepare reads all that opts are about, and returns what has them count: at once, and without a way to fail.
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

// Handler gives tokens to who asks for one at [TokenPath]: a name and password, or none, become a token that says no more
// than who that is. What it is good for is asked with each request. Everything else is left to next.
func (g *Guard) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != TokenPath {
			next.ServeHTTP(w, r)
			return
		}
		g.policy.Load().issue(w, r)
	})
}

// Summary says in a sentence who may do what, for people.
func (g *Guard) Summary() string { return g.policy.Load().summary() }

type clientKey struct{}

// UserOf returns the name of the user whose request has this context, as [Guard.Authorize] returned it; "" if the client is
// anonymous.
func UserOf(ctx context.Context) string {
	c, _ := ctx.Value(clientKey{}).(client)
	return c.name
}
