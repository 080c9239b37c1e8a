// Package upstream fetches content from upstream registries. [Client] implements [mirror.Upstream].
//
// Credentials come from docker's config.json and its credential helpers, through go-containerregistry's keychain. The
// transport of go-containerregistry is not used: it signs in by what /v2/ says and refuses token services that docker
// and containerd accept. Its calls for manifests and blobs are not used either: they give no control over offsets, HEAD
// or GET, headers and limits.
//
// # How a request is sent
//
//	Client.Manifest, Tags, ...     build the request and read the response; lists page by page
//	  registry                     checks allow, deny and the configured rate; tries the endpoints in turn
//	    circuit breakers           stop requests to an endpoint that is down, or for content that keeps failing
//	      sendWithRetry            waits for rate limits; retries a transient failure once
//	        http.Client            follows redirects: a bounded number, never from https to http
//	          authorizer           adds the Authorization of each host; responds to challenges
//	            guardOtherHosts    a circuit breaker and a rate limit for each host that the endpoint refers to
//	              markNetworkErrors  tells errors of the network from refusals of this package
//	                requireHTTPS   nothing but https from an endpoint of https
//	                  setHeaders   User-Agent, no content encoding
//	                    observeRequests, logRequests  metrics; one line for each request, without the query
//	                      addressGuard  public endpoints refer to public addresses only
//	                        http.Transport  connections, shared by all endpoints without their own TLS or proxy
//
// Token requests and /v2/ take the same steps from guardOtherHosts down. The body of a blob is a transfer, which
// takes all steps again, from the registry on, each time that it is interrupted or stalls.
//
// # Timeouts
//
// A response begins within [Options.Timeout], or the request fails. Several endpoints share that time. The last endpoint
// may take longer if it is alive: after half of the timeout, the client also requests /v2/. If /v2/ answers, it waits four
// times the timeout for a manifest or list, and [Options.BlobTimeout] for a blob. A slow response is not a failure.
// Bodies may then take as long as they like while bytes keep arriving: the limit is on the rate, never on the total.
//
// # Circuit breakers and rate limits
//
// An endpoint is down after three failures in a row with no other response between them, if /v2/, requested once then, fails
// as well. Failures are connections that fail (dial, name resolution or TLS), timeouts and server errors. While the endpoint
// is down requests fail at once. A probe is sent after ten seconds, then after twenty, forty, and every minute. An error of
// /v2/ itself means nothing for an endpoint that serves content nevertheless.
//
// A 5xx status, and a timeout while /v2/ answers, count against the repository and the kind of request: manifests, blobs,
// tags, referrers, tokens. Three in a row open that circuit breaker. Concurrent requests that fail together count as
// one failure. A failed token request says nothing about the content, nor about the endpoint, which answered with a
// challenge. Each host that an endpoint refers to has its own circuit breaker and rate limit, and
// [Options.StallTimeout] to begin a response.
//
// A 429 blocks requests of the same kind and method until its Retry-After has passed. A 503 with a Retry-After blocks
// requests for the same repository. Where an endpoint reports how many requests remain, the kinds of request that carry
// the report share one budget. Background work ([mirror.Background]) has its own circuit breakers and rate limits, so that
// it delays no client; only the circuit breaker of the endpoint itself counts for both. A transfer that has begun waits
// for up to [Options.RetryFor].
//
// A response with 404, 403 or 429 proves that the endpoint is alive. A web page proves nothing: another host may have
// sent it.
//
// # How registries fail
//
//	what they do                                 which do                        what this package does
//	500 or 502 for one repository or list        distribution, Harbor, Nexus     counts against that
//	500 or timeout of the token service          Harbor, GitLab, Docker Hub      counts against tokens of the repository
//	timeout for one manifest or blob             caches behind a slow upstream   the same, if /v2/ answers
//	the first byte of a blob takes minutes       Nexus, Artifactory, Kraken      waits for it
//	no ranges, or wrong ones                     static hosting, caches          a client's range waits for the download
//	429 on GET of manifests only                 Docker Hub                      HEAD and blobs continue
//	429 or 503 of the storage behind redirects   S3 ("SlowDown"), CDNs           pauses requests to that host
//	Retry-After as a date or a timestamp         Docker Hub                      measures by its clock (Date), waits by the
//	                                                                             monotonic clock
//	ratelimit-remaining                          Docker Hub, GitLab              spaces the last requests out
//
// # What is trusted
//
// A client of the mirror chooses a name and never an address: a host without a [Config], and a repository that its
// configuration denies, cause no lookup and no dial. An endpoint may refer its clients to other hosts, to a token service or
// to the storage of its blobs, as registries do; one on a public address to public addresses only. The next page of a list
// is fetched from the endpoint that sent the first one, whatever host its link names.
//
// Credentials are sent to the endpoint that they are configured for, and to the token service that it names, except over
// http if the endpoint uses https. A host that an endpoint refers to gets the credentials that the keychain has for that
// host itself, and only if it asks for them. A token request with credentials does not follow redirects to other hosts.
//
// Links to storage are signed: whoever has the link can read the content. The package writes neither the
// query of a URL, nor a Location or token realm that cannot be parsed, to an error or a log line.
//
// # How registries sign clients in
//
//	what they do                                 which do                        what this package does
//	/v2/ is open, the repository is not          Artifactory, Nexus, Gitea       responds to the challenge of the request;
//	                                                                             /v2/ is not requested
//	/v2/ is 403, 404, 405, 500 or a web page     static registries, firewalls    the same
//	several challenges in one header or many     Windows proxies (Negotiate),    tries Bearer, then Basic; skips others
//	                                             Artifactory
//	Bearer in any case, without service or scope older Quay, GitLab              uses the scope of the repository, to pull
//	a scope that does not suffice                registries behind rewrites      retries once with the repository's scope added
//	a token service on another host, port or     Docker Hub, Harbor, GitLab on   uses it; never over http for a registry of
//	address, or https of the same name           private networks                https, nor on a private address for one on a
//	                                                                             public address
//	"access_token" and no "token"; redirects     ACR, GitLab                     reads both; sends no password elsewhere
//	no POST for tokens, or nothing but POST      GCR, ACR, Artifactory           tries the other method
//	404 or 403 without a challenge               Artifactory, to hide content    requests /v2/ for a challenge, once, if there
//	                                                                             are credentials
//	storage that refuses Authorization, or asks  S3, GCS, Azure; Nexus           sends none; if it asks, its own
//	for Basic itself
//	links to storage that have expired           S3, GCS, Azure                  requests another one, once
//	http that redirects to https of the same     nginx in front of a registry    follows it, with the credentials
//	name
//	the API below a path                         Artifactory, k3s and containerd URLs of endpoints with /v2 in them
//	                                             with override_path
//
// # How registries answer
//
//	what they do                                 which do                        what this package does
//	HEAD is 400, 401, 403, 405, 500 or XML       GitLab's dependency proxy, S3   GET, by tag, as at the first pull
//	404 to HEAD without a JSON body              caches and gateways             the same
//	no response to HEAD, or redirects in a loop  firewalls, single sign-on       the same, if the endpoint is alive
//	a new digest by tag that is 404 by digest    mirror.gcr.io, spegel           GET by tag (package proxy)
//	no digest, no length, a generic Content-Type registry.access.redhat.com      GET; computes the digest, reads the type
//	                                                                             from the manifest
//	a Content-Type that contradicts the manifest proxies and static hosting      uses the manifest's own
//	Content-Encoding: gzip without being asked   CDNs, registry.access.redhat.com decompresses, unless the digest or a tar
//	                                                                             archive inside says otherwise
//	Link with an internal name, or with commas   Pulp, GitLab, Quay              uses its query, at the endpoint
//	n=1000 refused with 400 or 422               distribution with a limit       n=100, then no n
//	a page after the first is 404 or 403         GitLab, Artifactory             reports the list as interrupted
//	the referrers API is a page, {}, or another  GHCR, older Quay                uses the referrers tag
//	host's error
//	the referrers tag is the subject itself      GitLab                          there are no referrers
//	404 that means "not at present"              mirrors like this one           unavailable, so that a want stays
//	(Airmirror-Miss)
//	incomplete lists (the same header)           mirrors like this one           returns them with an error that says so
//	429 or 5xx of the referrers API              GHCR, Harbor                    returns the error; images are not affected
//	signed manifests of schema 1                 Quay, old images                refuses them with that reason
//
// This package does not verify blobs, and cannot verify a part of one ([Client.BlobPart]): the caller does. It does make
// sure, as well as that can be done before the digest is known, that all bytes of a transfer belong to one blob: parts must
// fit, and the bytes of an upstream that starts over are compared with those that were read before.
package upstream
