// Package upstream talks to origin registries: [Client] is the mirror's [mirror.Upstream].
//
// Signing in is left to go-containerregistry's transport, which knows how registries behave: it pings, answers Basic
// challenges and exchanges tokens, with credentials from docker's config.json and its credential helpers. Manifests and
// blobs go over the transport that comes out of it directly, because go-containerregistry's own calls give no say in
// offsets, HEAD or GET, headers and limits.
//
// # The way of a request
//
//	Client.Manifest, Tags, ...     what is asked, and what the answer means; lists page by page
//	  registry                     allow and deny, the configured rate; its endpoints in turn
//	    breaker                    not if the endpoint counts as gone, but for one probe at a time
//	      persist                  not before the endpoint wants it (pace); once more after a hiccup
//	        exchange               a session for the repository; a second one if the first is refused
//	          http.Client          redirects, bounded and never from https to http
//	            ggcr's transport   Authorization, for the registry's own host only
//	              failures         marks what the network said, to tell it from what was refused before
//	                schemeGuard    the configured scheme and no other
//	                  courtesy     reads Retry-After and what remains of a limit, for pace
//	                    identity   User-Agent, no encoding
//	                      debugLog one line for each request, without queries
//	                        http.Transport connections, shared by all endpoints without TLS or proxy of their own
//
// Pings and token exchanges pass through the same decorators from failures down. A blob is read through a transfer,
// which takes the same way again, from the registry on, each time that it breaks off or stalls.
//
// # Who is waited for
//
// An answer begins within [Options.Timeout], or the request ends; several endpoints share that time. What is read as a
// whole, and blobs, may then take as long as they like while they keep coming: bytes per time, never a total. An
// endpoint that failed three times in a row is not waited for at all: requests end at once, and a probe asks after ten
// seconds, then after twenty, forty, and each minute. Neither is one that asked for a pause, unless the pause ends
// within half of the timeout; a transfer that has begun waits for both, for [Options.RetryFor].
//
// Only silence, broken connections and errors of a server's own count as failures. What is unknown, refused or limited
// is an answer, and a web page in place of one is nobody's.
//
// # What is trusted
//
// A client of the mirror chooses a name and never an address: a host without a [Config], and a repository that it
// denies, cost no lookup and no dial. An endpoint may send its clients elsewhere, to a token service or to the storage
// of its blobs, as registries do. Credentials go to the endpoint that they are configured for and the token service
// that it names, and to no other host. The next page of a list comes from where the first one came from.
//
// A blob is not verified here, but bytes of one transfer are of one blob, as far as can be told before its digest: parts
// must fit, and an upstream that starts over is compared with what was read before.
package upstream
