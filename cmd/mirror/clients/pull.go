package clients

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

// puller sends the requests of a client that pulls.
type puller struct {
	client        *http.Client
	m             Mirror
	report        func(string)
	way           way
	authorization string // response to the challenge of an earlier request
}

// maxCheck limits the size of a manifest or a config.
const maxCheck = 8 << 20

// ping checks that the server is a registry.
func (p *puller) ping(ctx context.Context) error {
	resp, err := p.do(ctx, http.MethodGet, p.m.URL()+"/v2/", "")
	if err != nil {
		return err
	}
	registry := resp.header.Get("Docker-Distribution-Api-Version") != ""
	switch {
	case resp.status == http.StatusUnauthorized && registry:
		return nil // pull checks whether clients can log in
	case resp.status != http.StatusOK:
		return fmt.Errorf("it responds with %d %s", resp.status, http.StatusText(resp.status))
	case !registry:
		return errors.New("the server is not a registry")
	}
	return nil
}

// pull pulls the manifests and the config of an image, or requests a blob if there is no image.
func (p *puller) pull(ctx context.Context, stored Stored) error {
	if stored == (Stored{}) {
		_, err := p.get(ctx, http.MethodHead, emptyBlob, http.StatusNotFound)
		return err
	}
	resp, err := p.get(ctx, http.MethodHead, "manifests/"+cmp.Or(stored.Ref.Tag, stored.Ref.Digest.String()))
	if err != nil {
		return err
	}
	root := digest.Digest(resp.header.Get("Docker-Content-Digest"))
	if root.Validate() != nil {
		return errors.New("the response has no digest of the manifest")
	}
	refs, err := p.manifest(ctx, root)
	if err == nil && stored.Manifest != "" && stored.Manifest != root {
		refs, err = p.manifest(ctx, stored.Manifest)
	}
	if err != nil || len(refs.Blobs) == 0 || refs.Blobs[0].Size > maxCheck {
		return err
	}
	_, err = p.content(ctx, "blobs/", refs.Blobs[0].Digest)
	return err
}

// manifest pulls a manifest.
func (p *puller) manifest(ctx context.Context, d digest.Digest) (refs mirror.References, err error) {
	resp, err := p.content(ctx, "manifests/", d)
	if err != nil {
		return refs, err
	}
	_, refs, err = mirror.ParseManifest(resp.header.Get("Content-Type"), resp.body)
	return refs, err
}

// content pulls a manifest or blob, and verifies its digest.
func (p *puller) content(ctx context.Context, kind string, d digest.Digest) (answer, error) {
	resp, err := p.get(ctx, http.MethodGet, kind+d.String())
	if err == nil && d.Algorithm().FromBytes(resp.body) != d {
		err = fmt.Errorf("the content of %s has another digest", d)
	}
	return resp, err
}

// get sends a request for content of the repository, and logs in if needed, as the client would. It returns an error
// unless the status is 200 or the one in also.
func (p *puller) get(ctx context.Context, method, what string, also ...int) (answer, error) {
	at := p.m.URL() + "/v2/" + p.way.path + "/" + what + p.way.query
	if p.way.login && p.m.User != "" && p.authorization == "" && p.way.query != "" {
		p.authorization = p.m.basic() // a header in the configuration of the client
	}
	resp, err := p.do(ctx, method, at, p.authorization)
	if err == nil && resp.status == http.StatusUnauthorized {
		var answers bool
		if answers, err = p.answerChallenge(ctx, resp.header.Get("WWW-Authenticate")); err == nil && answers {
			resp, err = p.do(ctx, method, at, p.authorization)
		}
	}
	switch {
	case err != nil:
		return resp, err
	case resp.status == http.StatusOK || len(also) > 0 && resp.status == also[0]:
		return resp, nil
	case resp.status == http.StatusUnauthorized && !p.way.login && p.m.User != "":
		return resp, errors.New("it requires a login, and these versions send no credentials to a registry-mirror")
	case resp.status == http.StatusUnauthorized && p.m.User == "":
		return resp, errors.New("it requires a login: set the user with --user")
	case resp.status == http.StatusUnauthorized:
		return resp, fmt.Errorf("the user %s or the password is wrong", p.m.User)
	case resp.status == http.StatusForbidden:
		return resp, errors.New("its rules do not allow the client to pull")
	}
	return resp, fmt.Errorf("it responds with %d %s", resp.status, http.StatusText(resp.status))
}

var parameters = regexp.MustCompile(`(\w+)="([^"]*)"`)

// answerChallenge prepares basic authentication or requests a token, with or without a login. It reports whether the
// request can be repeated with a new answer.
func (p *puller) answerChallenge(ctx context.Context, challenge string) (bool, error) {
	login := ""
	if p.way.login && p.m.User != "" {
		login = p.m.basic()
	}
	scheme, rest, _ := strings.Cut(challenge, " ")
	if strings.EqualFold(scheme, "Basic") {
		before := p.authorization
		p.authorization = login
		return login != "" && login != before, nil
	}
	if !strings.EqualFold(scheme, "Bearer") {
		return false, nil
	}
	params := make(map[string]string)
	for _, pair := range parameters.FindAllStringSubmatch(rest, -1) {
		params[pair[1]] = pair[2]
	}
	realm, err := url.Parse(params["realm"])
	if err != nil || realm.Host == "" {
		return false, fmt.Errorf("its challenge has the realm %q, which is not a URL", params["realm"])
	}
	query := realm.Query()
	query.Set("service", params["service"])
	if params["scope"] != "" {
		query["scope"] = strings.Fields(params["scope"])
	}
	realm.RawQuery = query.Encode()
	resp, err := p.do(ctx, http.MethodGet, realm.String(), login)
	if err != nil || resp.status != http.StatusOK {
		return false, err
	}
	var token struct {
		Token  string `json:"token"`
		Access string `json:"access_token"`
	}
	if err := json.Unmarshal(resp.body, &token); err != nil || cmp.Or(token.Token, token.Access) == "" {
		return false, fmt.Errorf("the response of %s contains no token", realm.Host)
	}
	p.authorization = "Bearer " + cmp.Or(token.Token, token.Access)
	return true, nil
}

// answer is the response to a request.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// emptyBlob is a blob that [puller.pull] requests if there is no image: any answer but a refusal shows that the client may pull.
var emptyBlob = "blobs/" + digest.FromString("").String()

// expected returns what to add to the status of an answer that looks like a failure and is none.
func expected(resp *http.Response, at, authorization string) string {
	asksForToken := strings.HasPrefix(resp.Header.Get("WWW-Authenticate"), "Bearer ") && !strings.HasPrefix(authorization, "Bearer ")
	switch {
	case resp.StatusCode == http.StatusNotFound && strings.Contains(at, emptyBlob):
		return ", as expected: no image is stored yet"
	case resp.StatusCode == http.StatusUnauthorized && (authorization == "" || asksForToken):
		return ", as expected: it asks for a token or a login"
	}
	return ""
}

// do sends a request and reports it.
func (p *puller) do(ctx context.Context, method, at, authorization string) (a answer, err error) {
	req, err := http.NewRequestWithContext(ctx, method, at, nil)
	if err != nil {
		return a, err
	}
	req.Header["Accept"] = mirror.ManifestMediaTypes()
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return a, errors.Unwrap(err) // without the URL, which callers add
	}
	defer resp.Body.Close()
	a = answer{status: resp.StatusCode, header: resp.Header}
	p.report(fmt.Sprintf("%s %s: %s%s", method, at, resp.Status, expected(resp, at, authorization)))
	a.body, err = io.ReadAll(io.LimitReader(resp.Body, maxCheck))
	return a, err
}
