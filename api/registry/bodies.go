package registry

import (
	"net/http"
	"net/netip"

	"airmirror/mirror"
)

const (
	// smallBody is how large an answer is at the most that counts for nothing.
	smallBody = 64 << 10
	// bodyBudget is how much memory all larger ones take together, in bytes: manifests and lists that clients are reading,
	// and manifests that they send.
	bodyBudget = 128 << 20
)

// bodies are the large bodies in memory. A client decides how long one of them stays, so each address has a share.
type bodies struct{ shares *mirror.Shares[netip.Prefix] }

func newBodies() bodies { return bodies{mirror.NewShares[netip.Prefix](bodyBudget)} }

// take makes room for a body of the client that sends r, if it may have more. The caller calls done then when the body is
// in memory no more.
func (b bodies) reserve(r *http.Request, size int64) (done func(), ok bool) {
	network := mirror.NetworkOf(r.RemoteAddr)
	if !b.shares.Take(network, size) {
		return nil, false
	}
	return func() { b.shares.Give(network, size) }, true
}

// errBodyBudget says that an answer has no room in memory.
var errBodyBudget = mirror.Errorf(mirror.CodeTooManyRequests, "this address has too many large answers under way that it does not read: try again in a moment")
