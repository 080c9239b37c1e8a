package registry_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"airmirror/api/registry"
	"airmirror/mirror"
)

// asked is an Authorizer that records operations and refuses them.
type asked struct{ asks []registry.Operation }

func (a *asked) Authorize(header http.Header, r *http.Request, op registry.Operation) (context.Context, error) {
	a.asks = append(a.asks, op)
	header.Set("WWW-Authenticate", "Basic")
	return r.Context(), mirror.Errorf(mirror.CodeUnauthorized, "nobody may")
}

func (*asked) Allowed(context.Context, registry.Operation) bool { return false }

// TestOperationOfEachRequest: each request is authorized once, before anything is looked up. Malformed requests are not
// authorized.
func TestOperationOfEachRequest(t *testing.T) {
	const d = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	access := &asked{}
	s := start(t, registry.Options{Authorizer: access})
	app, base, quay := mirror.Repo{Host: "docker.io", Path: "team/app"}, mirror.Repo{Host: "docker.io", Path: "library/base"}, mirror.Repo{Host: "quay.io", Path: "team/app"}
	for request, want := range map[string]registry.Operation{
		"GET /v2/":                                                           {Action: registry.Ping},
		"HEAD /v2":                                                           {Action: registry.Ping},
		"GET /v2/_catalog":                                                   {Action: registry.List},
		"GET /v2/team/app/tags/list":                                         {Action: registry.Pull, Repo: app},
		"GET /v2/team/app/referrers/" + d:                                    {Action: registry.Pull, Repo: app},
		"GET /v2/team/app/manifests/1":                                       {Action: registry.Pull, Repo: app},
		"HEAD /v2/team/app/manifests/" + d:                                   {Action: registry.Pull, Repo: app},
		"PUT /v2/team/app/manifests/1":                                       {Action: registry.Push, Repo: app},
		"DELETE /v2/team/app/manifests/1":                                    {Action: registry.Delete, Repo: app},
		"GET /v2/team/app/blobs/" + d:                                        {Action: registry.Pull, Repo: app},
		"HEAD /v2/quay.io/team/app/blobs/" + d + "?x=y":                      {Action: registry.Pull, Repo: quay},
		"DELETE /v2/team/app/blobs/" + d + "?ns=quay.io":                     {Action: registry.Delete, Repo: quay},
		"POST /v2/team/app/blobs/uploads/":                                   {Action: registry.Push, Repo: app},
		"GET /v2/team/app/blobs/uploads/x":                                   {Action: registry.Push, Repo: app},
		"PATCH /v2/team/app/blobs/uploads/x":                                 {Action: registry.Push, Repo: app},
		"PUT /v2/team/app/blobs/uploads/x?digest=" + d:                       {Action: registry.Push, Repo: app},
		"DELETE /v2/team/app/blobs/uploads/x":                                {Action: registry.Push, Repo: app},
		"POST /v2/team/app/blobs/uploads/?mount=" + d + "&from=library/base": {Action: registry.Push, Repo: app, From: base},
		"POST /v2/team/app/blobs/uploads/?mount=" + d:                        {Action: registry.Push, Repo: app},
	} {
		access.asks = nil
		method, path, _ := strings.Cut(request, " ")
		a := s.refused(401, mirror.CodeUnauthorized, method, path, nil)
		s.header(a, "Www-Authenticate", "Basic")
		if len(access.asks) != 1 || access.asks[0] != want {
			t.Errorf("%s asks %v, want %v", request, access.asks, want)
		}
	}
	for _, request := range []string{"GET /v2/Team/manifests/1", "GET /v2/team/app/manifests/%2f", "PUT /v2/", "GET /v1/", "POST /v2/team/app/blobs/uploads/?mount=" + d + "&from=../x"} {
		access.asks = nil
		method, path, _ := strings.Cut(request, " ")
		req, err := http.NewRequest(method, s.url+path, nil)
		s.must(err)
		resp, err := http.DefaultClient.Do(req)
		s.must(err)
		if resp.Body.Close(); resp.StatusCode < 400 || resp.StatusCode == 401 || len(access.asks) > 0 {
			t.Errorf("%s: %s, asks %v", request, resp.Status, access.asks)
		}
	}
}
