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

// puller asks a mirror as a client does that pulls.
type puller struct {
	client        *http.Client
	m             Mirror
	tell          func(string)
	way           way
	authorization string // what the challenge of an earlier request was answered with
}

// maxCheck is how large what is pulled may be: a manifest or a config.
const maxCheck = 8 << 20

// ping finds out whether there is a registry.
func (p *puller) ping(ctx context.Context) error {
	resp, err := p.do(ctx, http.MethodGet, p.m.URL()+"/v2/", "")
	if err != nil {
		return err
	}
	registry := resp.header.Get("Docker-Distribution-Api-Version") != ""
	switch {
	case resp.status == http.StatusUnauthorized && registry:
		return nil // whether that keeps anybody from pulling is asked next
	case resp.status != http.StatusOK:
		return fmt.Errorf("it answers with %d %s", resp.status, http.StatusText(resp.status))
	case !registry:
		return errors.New("what answers there is no registry")
	}
	return nil
}

// pull pulls the manifests of an image and its config, or asks for a blob if there is no image.
func (p *puller) pull(ctx context.Context, held Held) error {
	if held == (Held{}) {
		_, err := p.get(ctx, http.MethodHead, "blobs/"+digest.FromString("").String(), http.StatusNotFound)
		return err
	}
	resp, err := p.get(ctx, http.MethodHead, "manifests/"+cmp.Or(held.Ref.Tag, held.Ref.Digest.String()))
	if err != nil {
		return err
	}
	root := digest.Digest(resp.header.Get("Docker-Content-Digest"))
	if root.Validate() != nil {
		return errors.New("it does not say the digest of the manifest")
	}
	refs, err := p.manifest(ctx, root)
	if err == nil && held.Manifest != "" && held.Manifest != root {
		refs, err = p.manifest(ctx, held.Manifest)
	}
	if err != nil || len(refs.Blobs) == 0 || refs.Blobs[0].Size > maxCheck {
		return err
	}
	_, err = p.content(ctx, "blobs/", refs.Blobs[0].Digest)
	return err
}

func (p *puller) manifest(ctx context.Context, d digest.Digest) (refs mirror.References, err error) {
	resp, err := p.content(ctx, "manifests/", d)
	if err != nil {
		return refs, err
	}
	_, refs, err = mirror.ParseManifest(resp.header.Get("Content-Type"), resp.body)
	return refs, err
}

// content gets what has a digest.
func (p *puller) content(ctx context.Context, kind string, d digest.Digest) (answer, error) {
	resp, err := p.get(ctx, http.MethodGet, kind+d.String())
	if err == nil && d.Algorithm().FromBytes(resp.body) != d {
		err = fmt.Errorf("what it sends as %s is something else", d)
	}
	return resp, err
}

// get asks for something of the repository, and logs in where that is asked for, as the client would. The status is to be
// 200, or another one that is named.
func (p *puller) get(ctx context.Context, method, what string, also ...int) (answer, error) {
	at := p.m.URL() + "/v2/" + p.way.path + "/" + what + p.way.query
	if p.way.login && p.m.User != "" && p.authorization == "" && p.way.query != "" {
		p.authorization = p.m.basic() // a header of its configuration
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
		return resp, errors.New("it asks for a login, and these versions send no credentials to a registry-mirror")
	case resp.status == http.StatusUnauthorized && p.m.User == "":
		return resp, errors.New("it asks for a login, which the client needs to have: name its user with --user")
	case resp.status == http.StatusUnauthorized:
		return resp, fmt.Errorf("the name %s or its password is wrong", p.m.User)
	case resp.status == http.StatusForbidden:
		return resp, errors.New("its rules do not let the client pull that")
	}
	return resp, fmt.Errorf("it answers with %d %s", resp.status, http.StatusText(resp.status))
}

var parameters = regexp.MustCompile(`(\w+)="([^"]*)"`)

// answerChallenge logs in by Basic, or gets a token, which may be one that anybody gets. It reports whether there is an
// answer that was not given yet.
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
	said := make(map[string]string)
	for _, pair := range parameters.FindAllStringSubmatch(rest, -1) {
		said[pair[1]] = pair[2]
	}
	realm, err := url.Parse(said["realm"])
	if err != nil || realm.Host == "" {
		return false, fmt.Errorf("it says to get a token from %q, which is no URL", said["realm"])
	}
	query := realm.Query()
	query.Set("service", said["service"])
	if said["scope"] != "" {
		query["scope"] = strings.Fields(said["scope"])
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
		return false, fmt.Errorf("there is no token in what %s sends", realm.Host)
	}
	p.authorization = "Bearer " + cmp.Or(token.Token, token.Access)
	return true, nil
}

// answer is what came of a request.
type answer struct {
	status int
	header http.Header
	body   []byte
}

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
		return a, errors.Unwrap(err) // it would say again what is asked
	}
	defer resp.Body.Close()
	p.tell(fmt.Sprintf("%s %s: %s", method, at, resp.Status))
	a = answer{status: resp.StatusCode, header: resp.Header}
	a.body, err = io.ReadAll(io.LimitReader(resp.Body, maxCheck))
	return a, err
}
