package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
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
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	addr := listener.Addr().String()
	must(t, listener.Close())
	p := &process{exec.Command("mirror", append([]string{"serve", "--listen", addr, "--data", dir, "--log-level", "error"}, args...)...), "http://" + addr}
	p.Stderr = log
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

// TestServerSurvivesKillAtAnyPoint kills the server during pushes and pull-throughs. Acknowledged content is stored, and all
// stored content is complete.
func TestServerSurvivesKillAtAnyPoint(t *testing.T) {
	const rounds, pushers = 6, 4
	up := newOrigin(t)
	dir := t.TempDir()
	acked := map[string]v1.Image{}
	for round := range rounds {
		p := spawn(t, dir, "--upstream", "docker.io="+up.URL)
		ctx, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		var mu sync.Mutex
		enough := make(chan struct{})
		target := len(acked) + 3 + round*2
		for n := range pushers {
			wg.Go(func() {
				for i := 0; ctx.Err() == nil; i++ {
					img, err := random.Image(200_000, 2)
					if err != nil {
						t.Error(err)
						return
					}
					ref := fmt.Sprintf("team/app%d:r%d-%d", n, round, i)
					tag, _ := name.NewTag(p.url[len("http://"):]+"/"+ref, name.Insecure)
					if remote.Write(tag, img, remote.WithContext(ctx)) != nil {
						continue
					}
					mu.Lock()
					acked[ref] = img
					if len(acked) == target {
						close(enough)
					}
					mu.Unlock()
				}
			})
		}
		wg.Go(func() { // a pull-through is under way whenever the end comes
			for i := 0; ctx.Err() == nil; i++ {
				ref := fmt.Sprintf("library/r%d:v%d", round, i)
				push(t, up.URL, ref, mustImage(t))
				tag, _ := name.NewTag(p.url[len("http://"):]+"/"+ref, name.Insecure)
				if img, err := remote.Image(tag, remote.WithContext(ctx)); err == nil {
					drain(img)
				}
			}
		})
		<-enough
		p.kill()
		stop()
		wg.Wait()

		p = spawn(t, dir, "--offline")
		for ref, want := range acked {
			got, err := remote.Image(reference(t, p.url, ref))
			must(t, err)
			same(t, got, want)
		}
		checkWhole(t, p.url)
		p.kill()
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
