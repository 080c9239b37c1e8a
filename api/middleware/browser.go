package middleware

import "net/http"

// crossOrigin refuses what a page of another site has a browser change, whatever login the browser remembers. Clients
// that are no browsers say nothing of where a request comes from, and pass.
var crossOrigin = http.NewCrossOriginProtection()

var (
	noSniff    = []string{"nosniff"}
	sandbox    = []string{"default-src 'none'; sandbox; frame-ancestors 'none'"}
	sameOrigin = []string{"same-origin"}
)

// protect has browsers run nothing of an answer, and give it to no page of another site: what clients pushed, and what
// upstreams sent, must never act on the mirror's origin.
func setSecurityHeaders(h http.Header) {
	h["X-Content-Type-Options"] = noSniff
	h["Content-Security-Policy"] = sandbox
	h["Cross-Origin-Resource-Policy"] = sameOrigin
}
