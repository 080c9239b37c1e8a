package registry

import (
	"net/http"
	"net/netip"

	"airmirror/mirror"
)

const (
	// smallBody is the largest body, in bytes, that does not count against the budget.
	smallBody = 64 << 10
	// bodyBudget limits the memory, in bytes, of all larger bodies together: manifests and lists that clients are
	// downloading, and manifests that they are uploading.
	bodyBudget = 128 << 20
)

// bodies accounts for the large bodies in memory. A slow client keeps its body in memory for as long as it likes, so
// each address has a share.
type bodies struct{ shares *mirror.Shares[netip.Prefix] }

func newBodies() bodies { return bodies{mirror.NewShares[netip.Prefix](bodyBudget)} }

// reserve reserves memory for a body of the client that sent r. If ok is true, the caller calls done when the body is
// no longer in memory.
func (b bodies) reserve(r *http.Request, size int64) (done func(), ok bool) {
	network := mirror.NetworkOf(r.RemoteAddr)
	if !b.shares.Take(network, size) {
		return nil, false
	}
	return func() { b.shares.Give(network, size) }, true
}

// errBodyBudget means that a response does not fit into the memory budget.
var errBodyBudget = mirror.Errorf(mirror.CodeTooManyRequests, "too many large responses to this address are in progress: read them, or try again later")
