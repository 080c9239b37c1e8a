// Package upstream talks to origin registries: [Client] is the mirror's [mirror.Upstream].
//
// Signing in is left to go-containerregistry's transport, which knows how registries behave: it pings, answers Basic
// challenges and exchanges tokens, with credentials from docker's config.json and its credential helpers. Manifests and
// blobs go over the transport that comes out of it directly, because go-containerregistry's own calls give no say in
// offsets, HEAD or GET, headers and limits.
//
// # The way of a request
//
//	Client.Manifest, Blob, ...     what is asked, and what the answer means
//	  exchange                     a session for the repository; a second one if the first is refused
//	    http.Client                redirects, bounded and never from https to http
//	      ggcr's transport         Authorization, for the registry's own host only
//	        failures               marks what the network said, to tell it from what was refused before
//	          schemeGuard          the configured scheme and no other
//	            identity           User-Agent, no encoding
//	              debugLog         one line for each request, without queries
//	                http.Transport connections, shared by all upstreams
//
// Pings and token exchanges pass through the same decorators from failures down.
//
// # What is trusted
//
// A client of the mirror chooses a name and never an address: a host without an [Endpoint] costs no lookup and no dial.
// An endpoint may send its clients elsewhere, to a token service or to the storage of its blobs, as registries do.
// Credentials go to the endpoint and the token service that it names, and to no other host.
package upstream
