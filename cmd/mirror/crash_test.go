package main

import (
	"encoding/json"
	"io"
	"net/http"
	"os/exec"
	"testing"

	"airmirror/cmd/mirror/testport"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// process is a mirror in a process of its own. Its folder remains when the process ends.
type process struct {
	*exec.Cmd
	url string
}

// spawn starts a server and waits until it responds.
func spawn(t *testing.T, dir string, args ...string) *process {
	t.Helper()
	return spawnTo(t, t.Output(), dir, args...)
}

// spawnTo is spawn with a writer for the log.
func spawnTo(t *testing.T, log io.Writer, dir string, args ...string) *process {
	t.Helper()
	return spawnWith(t, log, dir, func(*exec.Cmd) {}, args...)
}

// spawnWith is spawnTo with changes of the command.
func spawnWith(t *testing.T, log io.Writer, dir string, change func(*exec.Cmd), args ...string) *process {
	t.Helper()
	addr := testport.Address(t)
	p := &process{exec.Command("mirror", append([]string{"serve", "--listen", addr, "--data", dir, "--log-level", "error"}, args...)...), "http://" + addr}
	p.Stderr = log
	change(p.Cmd)
	must(t, p.Start())
	t.Cleanup(func() { p.kill() })
	eventually(t, "the mirror answers", func() bool {
		resp, err := http.Get(p.url + "/v2/")
		if err == nil {
			resp.Body.Close()
		}
		return err == nil
	})
	return p
}

func (p *process) kill() {
	if p.ProcessState == nil {
		p.Process.Kill()
		p.Wait()
	}
}

// checkWhole reads all content that the mirror lists, and fails for incomplete images. Blobs of a mirrored image may be
// missing, but those that are served are correct, which the client verifies.
func checkWhole(t *testing.T, url string) {
	t.Helper()
	var catalog struct{ Repositories []string }
	getJSON(t, url+"/v2/_catalog", &catalog)
	for _, repo := range catalog.Repositories {
		var list struct{ Tags []string }
		getJSON(t, url+"/v2/"+repo+"/tags/list", &list)
		for _, tag := range list.Tags {
			img, err := remote.Image(reference(t, url, repo+":"+tag))
			must(t, err)
			if err := drain(img); err != nil && repo[:5] == "team/" {
				t.Errorf("%s:%s is listed and incomplete: %v", repo, tag, err)
			}
		}
	}
}

func getJSON(t *testing.T, url string, v any) {
	t.Helper()
	resp, err := http.Get(url)
	must(t, err)
	defer resp.Body.Close()
	must(t, json.NewDecoder(resp.Body).Decode(v))
}

func mustImage(t *testing.T) v1.Image {
	img, err := random.Image(500_000, 1)
	if err != nil {
		t.Error(err)
	}
	return img
}

// drain reads all layers of an image, which the client verifies.
func drain(img v1.Image) error {
	layers, err := img.Layers()
	if err != nil {
		return err
	}
	for _, layer := range layers {
		r, err := layer.Compressed()
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, r)
		r.Close()
		if err != nil {
			return err
		}
	}
	return nil
}
