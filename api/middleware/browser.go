package middleware

import "net/http"

// crossOrigin refuses changes that a browser sends for a page of another site, whatever credentials the browser adds.
// Requests without browser headers pass.
var crossOrigin = http.NewCrossOriginProtection()

var (
	noSniff    = []string{"nosniff"}
	sandbox    = []string{"default-src 'none'; sandbox; frame-ancestors 'none'"}
	sameOrigin = []string{"same-origin"}
)

// setSecurityHeaders forbids browsers to run anything from a response and to show it to pages of other sites. Pushed
// content and upstream responses must not act on the mirror's origin.
func setSecurityHeaders(h http.Header) {
	h["X-Content-Type-Options"] = noSniff
	h["Content-Security-Policy"] = sandbox
	h["Cross-Origin-Resource-Policy"] = sameOrigin
}
