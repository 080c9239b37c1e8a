package clients_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/cmd/mirror/clients"
	"airmirror/mirror"
)

// served is a mirror with an image for two platforms, one of them stored.
type served struct {
	*httptest.Server
	asked []string
	// login is the authorization that pulls need, and token the one that the token service returns for it; both may be
	// empty.
	login, token string
	broken       string // a digest that is served with other content
	held         clients.Stored
	m            clients.Mirror
}

func serve(t *testing.T) *served {
	t.Helper()
	const config = `{"os":"linux","architecture":"amd64"}`
	image := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":%q,"digest":%q,"size":%d},"layers":[]}`,
		v1.MediaTypeImageManifest, v1.MediaTypeImageConfig, digest.FromString(config), len(config))
	index := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[{"mediaType":%q,"digest":%q,"size":%d}]}`,
		v1.MediaTypeImageIndex, v1.MediaTypeImageManifest, digest.FromString(image), len(image))
	content := map[string]string{}
	for _, text := range []string{config, image, index} {
		content[digest.FromString(text).String()] = text
	}
	s := &served{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.asked = append(s.asked, r.Method+" "+r.URL.String())
		w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
		authorization := r.Header.Get("Authorization")
		what := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
		switch {
		case what == "token" && (s.login == "" || authorization == s.login):
			fmt.Fprintf(w, `{"token":%q}`, s.token)
		case what == "token", s.token == "" && s.login != "" && authorization != s.login:
			w.Header().Set("WWW-Authenticate", `Basic realm="mirror"`)
			w.WriteHeader(http.StatusUnauthorized)
		case s.token != "" && authorization != "Bearer "+s.token:
			w.Header().Set("WWW-Authenticate", `Bearer realm="http://`+r.Host+`/token",service="mirror",scope="repository:x:pull"`)
			w.WriteHeader(http.StatusUnauthorized)
		case what == "":
		case what == "1" && strings.HasSuffix(r.URL.Path, "library/app/manifests/1"):
			w.Header().Set("Docker-Content-Digest", digest.FromString(index).String())
		case what == s.broken:
			fmt.Fprint(w, "has another digest")
		case content[what] != "":
			if strings.Contains(r.URL.Path, "/manifests/") {
				w.Header().Set("Content-Type", v1.MediaTypeImageManifest)
				if what == digest.FromString(index).String() {
					w.Header().Set("Content-Type", v1.MediaTypeImageIndex)
				}
			}
			fmt.Fprint(w, content[what])
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(s.Close)
	ref, err := mirror.ParseRef("docker.io/library/app:1")
	if err != nil {
		t.Fatal(err)
	}
	s.held = clients.Stored{Ref: ref, Manifest: digest.FromString(image)}
	s.m = clients.Mirror{Host: strings.TrimPrefix(s.URL, "http://"), Upstreams: []string{"docker.io"}}
	return s
}

// check runs a check and returns its report.
func (s *served) check(t *testing.T, kind string) (told string, err error) {
	t.Helper()
	s.asked = nil
	err = clients.Check(t.Context(), kind, s.m, s.held, func(line string) { told += line + "\n" })
	return told, err
}

// TestCheckSendsRequestsOfEachClient checks the requests for an image, its manifest and its config: with the namespace of
// containerd, with the prefix of podman, and in both ways of docker.
func TestCheckSendsRequestsOfEachClient(t *testing.T) {
	s := serve(t)
	for kind, ways := range map[string][][2]string{
		"docker":     {{"library/app", ""}, {"library/app", "?ns=docker.io"}},
		"containerd": {{"library/app", "?ns=docker.io"}},
		"podman":     {{"docker.io/library/app", ""}},
	} {
		told, err := s.check(t, kind)
		if err != nil || strings.Count(told, "can pull through "+s.URL) != len(ways) {
			t.Errorf("%s: %v\n%s", kind, err, told)
		}
		for _, way := range ways {
			if want := "HEAD /v2/" + way[0] + "/manifests/1" + way[1]; !slices.Contains(s.asked, want) {
				t.Errorf("%s: %s is missing in %q", kind, want, s.asked)
			}
			if want := "GET /v2/" + way[0] + "/manifests/" + s.held.Manifest.String() + way[1]; !slices.Contains(s.asked, want) {
				t.Errorf("%s: %s is missing in %q", kind, want, s.asked)
			}
		}
		if len(s.asked) != 1+4*len(ways) {
			t.Errorf("%s sent %q", kind, s.asked)
		}
	}
	s.held.Ref.Tag = "missing"
	if _, err := s.check(t, "docker"); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("an image that is not stored: %v", err)
	}
	s.m.Host = "127.0.0.1:1"
	if _, err := s.check(t, "docker"); err == nil || !strings.Contains(err.Error(), "not a registry") {
		t.Errorf("without a server at the address: %v", err)
	}
}

// TestCheckDetectsLoginsAndWrongBytes checks mirrors that require a login, with and without an image, and a mirror that serves
// wrong bytes.
func TestCheckDetectsLoginsAndWrongBytes(t *testing.T) {
	for name, token := range map[string]string{"by Basic": "", "by a token": "secret"} {
		for _, image := range []bool{true, false} {
			for _, kind := range clients.Kinds {
				s := serve(t)
				s.login, s.token = "Basic cm9ib3Q6c2VzYW1l", token
				if !image {
					s.held = clients.Stored{}
				}
				told, err := s.check(t, kind)
				if err == nil || !strings.Contains(err.Error(), "it requires a login") || strings.Contains(told, "pull through") {
					t.Errorf("%s, %s: %v\n%s", kind, name, err, told)
				}
				s.m.User, s.m.Password = "robot", "guess"
				if told, err = s.check(t, kind); err == nil || strings.Contains(told, "n pull through") {
					t.Errorf("%s, %s, with a wrong password: %v\n%s", kind, name, err, told)
				}
				s.m.Password = "sesame"
				told, err = s.check(t, kind)
				want := map[bool]string{true: ": pulled ", false: "; no image is stored yet to pull"}[image]
				if err != nil || strings.Count(told, want) != 1 || strings.Contains(told, "docker up to 28 cannot pull") != (kind == "docker") {
					t.Errorf("%s, %s, with the password: %v\n%s", kind, name, err, told)
				}
			}
		}
	}
	s := serve(t)
	s.token = "anybody's"
	if _, err := s.check(t, "docker"); err != nil {
		t.Errorf("with a token for anonymous clients: %v", err)
	}
	s.broken = s.held.Manifest.String()
	if _, err := s.check(t, "podman"); err == nil || !strings.Contains(err.Error(), "has another digest") {
		t.Errorf("a mirror that serves wrong bytes: %v", err)
	}
}
