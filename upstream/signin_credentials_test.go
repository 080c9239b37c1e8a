package upstream_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"airmirror/mirror"
	"airmirror/upstream"
)

// sendChallenge sends a challenge unless a request has this Authorization.
func sendChallenge(challenge, want string, h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != want {
			w.Header().Set("WWW-Authenticate", challenge)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		h(w, r)
	}
}

const basicMe = "Basic bWU6c2VjcmV0" // me:secret

func me() upstream.Options { return upstream.Options{Keychain: keychain{"registry.test": "me:secret"}} }

// TestStorageWithItsOwnCredentials checks that storage which asks for credentials gets its own, and never those of the
// endpoint.
func TestStorageWithItsOwnCredentials(t *testing.T) {
	for name, test := range map[string]struct {
		keys keychain
		want string // what the storage gets in the end
	}{
		"known here":   {keychain{"registry.test": "me:secret", "cdn.test": "other:word"}, "Basic b3RoZXI6d29yZA=="},
		"unknown here": {keychain{"registry.test": "me:secret"}, ""},
	} {
		for challenge, registry := range map[string]http.HandlerFunc{
			"Basic": sendChallenge(`Basic realm="x"`, basicMe, redirectTo("http://cdn.test/blob")),
			"none":  redirectTo("http://cdn.test/blob"),
		} {
			t.Run(name+", "+challenge, func(t *testing.T) {
				n, seen := newNetwork(t), &requestLog{}
				n.serve("registry.test", registry)
				n.serve("cdn.test", seen.wrap(sendChallenge(`Basic realm="storage"`, "Basic b3RoZXI6d29yZA==", serveBlob)))
				config := at("http://registry.test")
				if name == "unknown here" { // configured credentials are for the endpoint only
					config.Endpoints[0].Credentials = upstream.Credentials{Username: "me", Password: "secret"}
				}
				body, _, err := n.configured(upstream.Options{Keychain: test.keys}, config).Blob(t.Context(), app, blobSHA)
				if err == nil {
					_ = body.Close()
				}
				if (err == nil) != (test.want != "") {
					t.Errorf("the blob: %v", err)
				}
				if first := seen.requests[0].Header.Get("Authorization"); first != "" {
					t.Errorf("the storage got %s before it asked", first)
				}
				if last := seen.requests[len(seen.requests)-1].Header.Get("Authorization"); last != test.want {
					t.Errorf("the storage got %q, want %q", last, test.want)
				}
			})
		}
	}
}

func redirectTo(url string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, url, http.StatusTemporaryRedirect) }
}

// TestPasswordsStay checks that credentials for one host are not sent to another, whatever redirects and realms say.
func TestPasswordsStay(t *testing.T) {
	bearer := func(realm string) string { return `Bearer realm="` + realm + `",service="s"` }
	for name, serve := range map[string]func(n *network, stranger http.Handler){
		"redirect of a blob": func(n *network, stranger http.Handler) {
			n.serve("registry.test", sendChallenge(`Basic realm="x"`, basicMe, redirectTo("http://stranger.test/")))
			n.serve("stranger.test", stranger)
		},
		"redirect to another port": func(n *network, stranger http.Handler) {
			n.serve("registry.test", sendChallenge(`Basic realm="x"`, basicMe, redirectTo("http://registry.test:8080/")))
			n.serve("registry.test:8080", stranger)
		},
		"redirect to https on another port": func(n *network, stranger http.Handler) {
			n.serve("registry.test", sendChallenge(`Basic realm="x"`, basicMe, redirectTo("http://registry.test:443/")))
			n.serve("registry.test:443", stranger)
		},
		"redirect of the token service": func(n *network, stranger http.Handler) {
			n.serve("registry.test", sendChallenge(bearer("http://auth.test/token"), "Bearer t", serveIndex))
			n.serve("auth.test", sendChallenge("", basicMe, redirectTo("http://stranger.test/")))
			n.serve("stranger.test", stranger)
		},
		"redirect of the token service to another port": func(n *network, stranger http.Handler) {
			n.serve("registry.test", sendChallenge(bearer("http://auth.test/token"), "Bearer t", serveIndex))
			n.serve("auth.test", sendChallenge("", basicMe, redirectTo("http://auth.test:8080/")))
			n.serve("auth.test:8080", stranger)
		},
	} {
		t.Run(name, func(t *testing.T) {
			n, asked := newNetwork(t), 0
			serve(n, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked++
				if got := r.Header.Get("Authorization"); got != "" {
					t.Errorf("a stranger got %s", got)
				}
				w.WriteHeader(http.StatusForbidden)
			}))
			_, err := n.client(me(), "http://registry.test").Manifest(t.Context(), appTag)
			if err == nil || asked != 1 {
				t.Errorf("the stranger got %d requests: %v", asked, err)
			}
		})
	}
}

// TestIdentityTokenStays checks that a redirect of a POST to another host is not followed.
func TestIdentityTokenStays(t *testing.T) {
	n := newNetwork(t)
	n.serve("registry.test", sendChallenge(`Bearer realm="http://auth.test/token"`, "Bearer t", serveIndex))
	n.serve("auth.test", redirectTo("http://stranger.test/")) // to dial that fails the test
	config := at("http://registry.test")
	config.Endpoints[0].Credentials = upstream.Credentials{IdentityToken: "identity"}
	wantError(t, fetch(t, n.configured(upstream.Options{}, config)), mirror.CodeUnavailable, "refused to follow a redirect to stranger.test")
}

// TestRealms checks that the token service may be on any host, but not use http if the registry uses https.
func TestRealms(t *testing.T) {
	for name, test := range map[string]struct{ endpoint, realm, says string }{
		"another port":          {"http://registry.example.com", "http://registry.example.com:8080/token", ""},
		"a private address":     {"http://registry.example.com", "http://10.0.0.1:5001/token", ""},
		"https of the name":     {"http://registry.example.com", "https://registry.example.com/token", ""},
		"https of another name": {"https://registry.example.com", "https://auth.example.com/token", ""},
		"relative":              {"https://registry.example.com", "/token", ""},
		"with a query":          {"https://registry.example.com", "https://auth.example.com/token?account=x", ""},
		"http for https":        {"https://registry.example.com", "http://auth.test/token", "refused to request a token over http"},
		"no scheme for http":    {"http://registry.example.com", "ftp://auth.test/token", "refused to request a token over ftp"},
		"a password":            {"http://registry.example.com", "http://a:b@auth.test/token", "contains credentials"},
		"none":                  {"http://registry.example.com", "", "is not a URL"},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNetwork(t)
			registry := sendChallenge(`Bearer realm="`+test.realm+`"`, "Bearer t", serveIndex)
			service := func(w http.ResponseWriter, r *http.Request) {
				if user, password, _ := r.BasicAuth(); user != "me" || password != "secret" {
					t.Errorf("the token service got %s:%s", user, password)
				}
				if name == "with a query" && r.URL.Query().Get("account") != "x" {
					t.Errorf("the query is %s", r.URL.RawQuery)
				}
				fmt.Fprint(w, `{"access_token":"t"}`)
			}
			all := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/token" {
					service(w, r)
					return
				}
				registry(w, r)
			})
			n.serve("registry.example.com", all)
			n.serve("registry.example.com:8080", all)
			n.serve("10.0.0.1:5001", all)
			n.serveTLS("registry.example.com", all)
			n.serveTLS("auth.example.com", all)
			c := n.client(upstream.Options{Keychain: keychain{"registry.example.com": "me:secret"}}, "registry.test="+test.endpoint)
			_, err := c.Manifest(t.Context(), appTag)
			if test.says == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantError(t, err, mirror.CodeUnavailable, test.says)
		})
	}
}

// TestChallengeOfTheRequest checks that the challenge of the request is used, and Bearer before Basic.
func TestChallengeOfTheRequest(t *testing.T) {
	for name, test := range map[string]struct{ challenge, want string }{
		"Basic":                         {`Basic realm="x"`, basicMe},
		"Bearer":                        {`Bearer realm="http://registry.test/token"`, "Bearer t"},
		"both":                          {`Basic realm="x", Bearer realm="http://registry.test/token"`, "Bearer t"},
		"Negotiate as well":             {`Negotiate, Basic realm="x"`, basicMe},
		"Bearer that cannot be met":     {`Bearer realm="", Basic realm="x"`, basicMe},
		"token service that is not one": {`Bearer realm="http://registry.test/nothing", Basic realm="x"`, basicMe},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNetwork(t)
			registry := sendChallenge(test.challenge, test.want, serveIndex)
			n.serve("registry.test", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch r.URL.Path {
				case "/v2/":
					status(500, "UNKNOWN", "")(w, r)
				case "/token":
					fmt.Fprint(w, `{"token":"t"}`)
				case "/nothing":
					page(404)(w, r)
				default:
					registry(w, r)
				}
			}))
			if _, err := n.client(me(), "http://registry.test").Manifest(t.Context(), appTag); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestChallengeFromPing checks that /v2/ is requested for a challenge if there are credentials and the response has
// none.
func TestChallengeFromPing(t *testing.T) {
	for name, refusal := range map[string]http.HandlerFunc{
		"404": status(404, "MANIFEST_UNKNOWN", ""), "403": page(403), "401": status(401, "UNAUTHORIZED", ""),
	} {
		t.Run(name, func(t *testing.T) {
			n, seen := newNetwork(t), &requestLog{}
			n.serve("registry.test", seen.wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch {
				case r.URL.Path == "/v2/":
					sendChallenge(`Basic realm="x"`, basicMe, page(200))(w, r)
				case r.Header.Get("Authorization") == basicMe && strings.HasSuffix(r.URL.Path, "v1"):
					serveIndex(w, r)
				default:
					refusal(w, r)
				}
			})))
			c := n.client(me(), "http://registry.test")
			for range 3 {
				if _, err := c.Manifest(t.Context(), appTag); err != nil {
					t.Error(err)
				}
			}
			if got := seen.count("/v2/"); got != 1 {
				t.Errorf("/v2/ got %d requests", got)
			}
		})
	}
}

// TestWrongPassword checks the error, which names the user, and that one request tries a password once.
func TestWrongPassword(t *testing.T) {
	for name, challenge := range map[string]string{"Basic": `Basic realm="x"`, "Bearer": `Bearer realm="http://auth.test/token"`} {
		t.Run(name, func(t *testing.T) {
			n, tries := newNetwork(t), 0
			refuse := func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Authorization") == basicMe {
					tries++
				}
				w.Header().Set("WWW-Authenticate", challenge)
				status(401, "UNAUTHORIZED", "incorrect username or password")(w, r)
			}
			n.serve("registry.test", http.HandlerFunc(refuse))
			n.serve("auth.test", http.HandlerFunc(refuse))
			_, err := n.client(me(), "http://registry.test").Manifest(t.Context(), appTag)
			wantError(t, err, mirror.CodeUnavailable, `does not accept the password of user "me"`, "401")
			if tries != 1 || strings.Contains(err.Error(), "secret") {
				t.Errorf("tried %d times: %v", tries, err)
			}
		})
	}
}

// connTo is a connection to the address that the test chooses.
type connTo struct {
	net.Conn
	at netip.AddrPort
}

func (c connTo) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.at) }

// TestPrivateAddresses checks that an endpoint on a public address cannot refer to a private one, by redirects or
// realms.
func TestPrivateAddresses(t *testing.T) {
	for inside, refused := range map[string]bool{
		"127.0.0.1": true, "10.9.9.9": true, "169.254.169.254": true, "100.64.0.1": true, "::1": true, "fd00:ec2::254": true, "198.51.100.7": false,
	} {
		for endpoint, public := range map[string]bool{"203.0.113.1": true, "10.1.1.1": false} {
			for by, registry := range map[string]http.HandlerFunc{
				"redirect": redirectTo("http://there.test/"),
				"realm":    sendChallenge(`Bearer realm="http://there.test/"`, "Bearer t", serveIndex),
			} {
				t.Run(by+" from "+endpoint+" to "+inside, func(t *testing.T) {
					n, asked := newNetwork(t), false
					n.serve("registry.test", registry)
					n.serve("there.test", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						asked = true
						fmt.Fprint(w, `{"token":"t"}`)
					}))
					places := map[string]string{"registry.test:80": endpoint, "there.test:80": inside}
					c, err := upstream.New([]upstream.Config{at("http://registry.test")}, upstream.Options{Transport: &http.Transport{
						DialContext: func(ctx context.Context, proto, addr string) (net.Conn, error) {
							conn, err := n.dial(ctx, proto, addr)
							return connTo{conn, netip.AddrPortFrom(netip.MustParseAddr(places[addr]), 80)}, err
						},
					}})
					if err != nil {
						t.Fatal(err)
					}
					_, err = c.Manifest(t.Context(), appTag)
					if want := refused && public; asked == want {
						t.Errorf("requested: %t, want %t: %v", asked, !want, err)
					} else if want {
						wantError(t, err, mirror.CodeUnavailable, "refused to send a request to there.test:80, which is not public")
					}
				})
			}
		}
	}
}

// TestSchemeIsWrong checks that the error says which URL to configure.
func TestSchemeIsWrong(t *testing.T) {
	n := newNetwork(t)
	n.serveTLS("registry.example.com", open(serveIndex))
	n.serve("registry.example.com", open(serveIndex))
	n.serve("registry.example.com:5000", open(serveIndex))
	n.serveTLS("registry.example.com:5001", open(serveIndex))
	for host, words := range map[string]string{
		"nginx.test":  "<center>The plain HTTP request was sent to HTTPS port</center>",
		"apache.test": "Reason: You're speaking plain HTTP to an SSL-enabled server port.<br />",
	} {
		n.serve(host, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, "<html>"+words+"</html>")
		}))
	}
	for endpoint, says := range map[string]string{
		"https://registry.example.com:5000": "write http://registry.example.com:5000",
		"http://registry.example.com:5001":  "write https://registry.example.com:5001",
		"http://nginx.test":                 "write https://nginx.test",
		"http://apache.test":                "write https://apache.test",
	} {
		_, err := n.client(upstream.Options{}, "registry.test="+endpoint).Manifest(t.Context(), appTag)
		wantError(t, err, mirror.CodeUnavailable, says)
	}
}

// TestPlainHTTPIsClosed checks that the error suggests https if an endpoint closes the connection and never answered.
func TestPlainHTTPIsClosed(t *testing.T) {
	for name, test := range map[string]struct {
		before http.HandlerFunc
		advice bool
	}{"the first time": {abort, true}, "after an answer": {serveIndex, false}} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, n *memoryNetwork) {
				n.serve("registry.test", play(test.before, abort))
				c := n.client(upstream.Options{})
				_ = fetch(t, c)
				err := fetch(t, c)
				wantError(t, err, mirror.CodeUnavailable, "registry.test does not answer")
				if got := err.Error() == "registry.test does not answer: write https://registry.test if it speaks TLS: EOF"; got != test.advice {
					t.Errorf("%v: it advises TLS: %v", err, got)
				}
			})
		})
	}
}

// TestAPIBelowPath has URLs of endpoints with a path above the API, with a prefix of repositories, and with both.
func TestAPIBelowPath(t *testing.T) {
	for url, want := range map[string]string{
		"http://art.test/artifactory/api/docker/hub":     "/artifactory/api/docker/hub/v2/org/app/manifests/v1",
		"http://art.test/artifactory/api/docker/Hub/v2/": "/artifactory/api/docker/Hub/v2/org/app/manifests/v1",
		"http://art.test/quay/v2":                        "/quay/v2/org/app/manifests/v1",
		"http://art.test/quay/v2/proxy":                  "/quay/v2/proxy/org/app/manifests/v1",
		"http://art.test/v2/proxy":                       "/v2/proxy/org/app/manifests/v1",
		"http://art.test/v2/proxy/v2/x":                  "/v2/proxy/v2/x/org/app/manifests/v1",
		"http://art.test/proxy":                          "/v2/proxy/org/app/manifests/v1",
	} {
		n, seen := newNetwork(t), &requestLog{}
		n.serve("art.test", seen.wrap(http.HandlerFunc(serveIndex)))
		c := n.client(upstream.Options{}, "registry.test="+url)
		if _, err := c.Manifest(t.Context(), appTag); err != nil || seen.requests[0].URL.Path != want {
			t.Errorf("%s: requested %s, want %s (%v)", url, seen.requests[0].URL.Path, want, err)
		}
	}
}
