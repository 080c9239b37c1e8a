// Package upstream talks to origin registries: [Client] is the mirror's [mirror.Upstream].
//
// Credentials come from docker's config.json and its credential helpers, by go-containerregistry's keychain. Its transport
// is not used: it signs in by what /v2/ says, and refuses token services that docker and containerd take. Nor are its calls
// for manifests and blobs, which give no say in offsets, HEAD or GET, headers and limits.
//
// # The way of a request
//
//	Client.Manifest, Tags, ...     what is asked, and what the answer means; lists page by page
//	  registry                     allow and deny, the configured rate; its endpoints in turn
//	    circuit breakers           not if the endpoint counts as gone, or the part that is asked; but for one probe
//	      persist                  not before the endpoint wants it (rate limits); once more after a hiccup
//	        http.Client            redirects, bounded and never from https to http
//	          authorizer           Authorization, for each host what belongs to it; meets challenges
//	            guarded            hosts that the endpoint leads to: a circuit breaker and a rate limit each
//	              failures         marks what the network said, to tell it from what was refused before
//	                schemeGuard    nothing but https from an endpoint of https
//	                  identity     User-Agent, no encoding
//	                    logRequests   one line for each request, without queries
//	                      reach    public endpoints lead to public addresses only
//	                        http.Transport connections, shared by all endpoints without TLS or proxy of their own
//
// Token exchanges and /v2/ pass through the same decorators from guarded down. A blob is read through a transfer,
// which takes the same way again, from the registry on, each time that it breaks off or stalls.
//
// # Who is waited for
//
// An answer begins within [Options.Timeout], or the request ends; several endpoints share that time. The last of them may
// take longer if it is there: when half of the time has passed, /v2/ is asked beside the request, and if that answers,
// four times the timeout are waited for a manifest or list, and [Options.BlobTimeout] for a blob. To be slow is no failure.
// What is read as a whole, and blobs, may then take as long as they like while they keep coming: bytes per time, never a
// total.
//
// # What a failure counts against
//
// An endpoint counts as gone after three connections in a row that failed (by dial, name or TLS), or silence, or three
// errors of the server's own with no other answer between, if /v2/, asked once then, fails as well. It is not waited for:
// requests end at once, and a probe asks after ten seconds, then after twenty, forty, and each minute. An error of /v2/
// itself means nothing for an endpoint that serves content all the same.
//
// A 5xx, and silence while /v2/ answers, count against the repository and the kind of request: manifests, blobs, tags,
// referrers, tokens. Of these, three in a row are enough; requests that were under way together fail together, which
// counts as one. A token that could not be had says nothing about what it is for, nor about the endpoint, which answered
// with a challenge. A host that an endpoint leads to has a circuit breaker and a rate limit of its own, and
// [Options.StallTimeout] to begin an answer. A 429 holds back requests of the same kind and method, and a
// 503 with a Retry-After those for the same repository. Where an endpoint says how many requests remain, the kinds whose
// answers say it share one budget. Work in the background ([mirror.Background]) has all of that for itself, so that it
// holds no client back; only that an endpoint is gone counts for both. A transfer that has begun waits, for
// [Options.RetryFor].
//
// What is unknown, refused or limited is an answer, and a web page in place of one is nobody's.
//
// # How registries fail
//
//	what they do                                 who does it                     what is done
//	500 or 502 for one repository or list        distribution, Harbor, Nexus     counts against that
//	500 or silence of the token service          Harbor, GitLab, Docker Hub      counts against tokens of the repository
//	silence for one manifest or blob             caches behind a slow upstream   the same, if /v2/ answers
//	the first byte of a blob takes minutes       Nexus, Artifactory, Kraken      it is waited for
//	no ranges, or other ones                     static hosting, caches          a client's range waits for the download
//	429 on GET of manifests only                 Docker Hub                      HEAD and blobs go on
//	429 or 503 of the storage behind redirects   S3 ("SlowDown"), CDNs           that host is held back, for a while
//	Retry-After as a date or a timestamp         Docker Hub                      by their clock (Date); waiting is monotonic
//	ratelimit-remaining                          Docker Hub, GitLab              the last requests go out one by one
//
// # What is trusted
//
// A client of the mirror chooses a name and never an address: a host without a [Config], and a repository that it
// denies, cost no lookup and no dial. An endpoint may send its clients elsewhere, to a token service or to the storage
// of its blobs, as registries do; one on a public address to public addresses only. The next page of a list comes from
// where the first one came from, whatever host its link names.
//
// Credentials go to the endpoint that they are configured for, and to the token service that it names, except by http
// if the endpoint is asked by https. A host that an endpoint leads to gets what the keychain has for that host itself, and
// only if it asks. What a token service is asked with does not follow its redirects to other hosts.
//
// # How registries sign clients in
//
//	what they do                                 who does it                     what is done
//	/v2/ is open, the repository is not          Artifactory, Nexus, Gitea       the challenge of the request is met; /v2/ is
//	                                                                             not asked
//	/v2/ is 403, 404, 405, 500 or a web page     static registries, firewalls    the same
//	several challenges in one header or many     Windows proxies (Negotiate),    Bearer, then Basic, if they can be met; others
//	                                             Artifactory                     are passed over
//	Bearer in any case, without service or scope older Quay, GitLab              the scope is that of the repository, to pull
//	a scope that does not do                     registries behind rewrites      once more, with the repository's as well
//	a token service on another host, port or     Docker Hub, Harbor, GitLab on   it is asked; never by http for a registry of
//	address, or https of the same name           private networks                https, nor inside for one on a public address
//	"access_token" and no "token"; redirects     ACR, GitLab                     both are read; passwords stay
//	no POST for tokens, or nothing but POST      GCR, ACR, Artifactory           the other method
//	404 or 403 without a challenge               Artifactory that hides what     /v2/ is asked for one, once, if there are
//	                                             there is                        credentials
//	storage that refuses Authorization, or asks  S3, GCS, Azure; Nexus           it gets none; if it asks, its own
//	for Basic itself
//	links to storage that have expired           S3, GCS, Azure                  the registry is asked for another one, once
//	http that leads to https of the same name    nginx in front of anything      it is followed, with the credentials
//	the API below a path                         Artifactory, k3s and containerd URLs of endpoints with /v2 in them
//	                                             with override_path
//
// # How registries answer
//
//	what they do                                 who does it                     what is done
//	HEAD is 400, 401, 403, 405, 500 or XML       GitLab's dependency proxy, S3   GET, by tag, as at the first pull
//	404 to HEAD without words                    caches and gateways             the same
//	no answer to HEAD, or redirects in a circle  firewalls, single sign-on       the same, if the endpoint is there
//	a new digest by tag that is 404 by digest    mirror.gcr.io, spegel           GET by tag (package mirror)
//	no digest, no length, a vague Content-Type   registry.access.redhat.com      GET; the digest is computed, the type read
//	a Content-Type that the document denies      proxies and static hosting      what the document says counts
//	Content-Encoding: gzip though nobody asked   CDNs, registry.access.redhat.com decoded, unless its digest or a tar archive
//	                                                                             in it says that it is meant as it is
//	Link by an inner name, or with commas        Pulp, GitLab, Quay              its query, at the endpoint
//	n=1000 refused with 400 or 422               distribution with a limit       n=100, then none
//	a page after the first is 404 or 403         GitLab, Artifactory             the list broke off, and says so
//	the referrers API is a page, {}, or leads    GHCR, older Quay                the referrers tag
//	to somebody else's error
//	the referrers tag is the subject itself      GitLab                          there are none
//	404 that means "not now" (Airmirror-Miss)    mirrors like this one           unavailable, so that a want stays
//	lists that lack something (the same header)  mirrors like this one           passed on, and said to be so
//	429 or 5xx of the referrers API              GHCR, Harbor                    said; images are served as they are
//	signed manifests of schema 1                 Quay, old images                refused with that reason
//
// A blob is not verified here, and a part of one ([Client.BlobPart]) cannot be: package mirror says what it is good for.
// But bytes of one transfer are of one blob, as far as can be told before its digest: parts must fit, and an upstream
// that starts over is compared with what was read before.
package upstream
