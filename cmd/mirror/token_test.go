package main

import (
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// TestAClientPushesWithATokenAsWithALogin pushes as docker does after a login: with the name of an API token and its secret.
func TestAClientPushesWithATokenAsWithALogin(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	p := spawn(t, data, "--offline")
	secret, err := exec.Command("mirror", "token", "create", "ci", "--right", "pull,push", "--repository", "team/**", "--quiet", "--data", data).Output()
	must(t, err)
	login := remote.WithAuth(&authn.Basic{Username: "ci", Password: strings.TrimSpace(string(secret))})
	image, err := random.Image(1000, 1)
	must(t, err)
	write := func(path string, option remote.Option) int {
		ref, err := name.ParseReference(strings.TrimPrefix(p.url, "http://")+"/"+path, name.Insecure)
		must(t, err)
		switch err := remote.Write(ref, image, option).(type) { //nolint:errorlint // the library does not wrap it
		case nil:
			return http.StatusCreated
		case *transport.Error:
			return err.StatusCode
		default:
			t.Fatalf("push %s: %v", path, err)
			return 0
		}
	}
	if got := write("team/app:1", login); got != http.StatusCreated {
		t.Errorf("push to team/app: %d", got)
	}
	if got := write("other/app:1", login); got != http.StatusForbidden {
		t.Errorf("push to other/app: %d", got)
	}
	must(t, exec.Command("mirror", "token", "create", "other", "--right", "pull", "--repository", "**", "--data", data).Run())
	must(t, exec.Command("mirror", "token", "rm", "ci", "--data", data).Run())
	if got := write("team/app:2", login); got != http.StatusUnauthorized {
		t.Errorf("push with a revoked token: %d", got)
	}
}
