package middleware

import "net/http"

// sameOrigin refuses what a page of another site has a browser change, whatever login the browser remembers. Clients
// that are no browsers say nothing of where a request comes from, and pass.
var sameOrigin = http.NewCrossOriginProtection()

var (
	noSniff      = []string{"nosniff"}
	nothingRuns  = []string{"default-src 'none'; sandbox; frame-ancestors 'none'"}
	onlySameSite = []string{"same-origin"}
)

// protect has browsers run nothing of an answer, and give it to no page of another site: what clients pushed, and what
// upstreams sent, must never act on the mirror's origin.
func protect(h http.Header) {
	h["X-Content-Type-Options"] = noSniff
	h["Content-Security-Policy"] = nothingRuns
	h["Cross-Origin-Resource-Policy"] = onlySameSite
}
