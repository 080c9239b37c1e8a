package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
)

// put sends a PUT or POST request with a body, and returns the status; 0 if there is no answer.
func put(method, url, mediaType, body string) int {
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		return 0
	}
	req.Header.Set("Content-Type", mediaType)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return 0
	}
	return resp.StatusCode
}

// pushTiny pushes a manifest without layers, whose config {} is stored, and reports whether the push was acknowledged.
func pushTiny(url, repo, tag string) bool {
	const manifest = "application/vnd.oci.image.manifest.v1+json"
	config := digest.FromString("{}")
	body := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":%q,"size":2},"layers":[],"annotations":{"tag":%q}}`,
		manifest, config, tag)
	return put(http.MethodPut, url+"/v2/"+repo+"/manifests/"+tag, manifest, body) == http.StatusCreated
}

// TestAcknowledgedChangesAreTold kills the server during pushes and deletions, right after an answer. The events of all that
// were acknowledged are delivered later.
func TestAcknowledgedChangesAreTold(t *testing.T) {
	const rounds, pushers = 8, 4
	receiver := newTold(t)
	receiver.refuses(true)
	dir := t.TempDir()
	data, file := filepath.Join(dir, "data"), filepath.Join(dir, "mirror.yaml")
	must(t, os.WriteFile(file, fmt.Appendf(nil, `
events:
  endpoints:
    - {name: here, url: "%s", offline: true, ignoreMediaTypes: [application/octet-stream]}
`, receiver.URL), 0o600))
	var mu sync.Mutex
	acked := map[string]bool{}
	for round := range rounds {
		p := spawn(t, data, "--config", file, "--offline")
		if round == 0 && put(http.MethodPost, p.url+"/v2/team/app/blobs/uploads/?digest="+digest.FromString("{}").String(), "application/octet-stream", "{}") != http.StatusCreated {
			t.Fatal("the config was not pushed")
		}
		enough, stop := make(chan struct{}), make(chan struct{})
		end := sync.OnceFunc(func() { close(enough) })
		var pushing sync.WaitGroup
		for n := range pushers {
			pushing.Go(func() {
				for i := 0; ; i++ {
					select {
					case <-stop:
						return
					default:
					}
					tag := fmt.Sprintf("r%d-%d-%d", round, n, i)
					if !pushTiny(p.url, "team/app", tag) {
						continue
					}
					mu.Lock()
					acked["push team/app "+tag] = true
					if len(acked) > (round+1)*10 {
						end()
					}
					mu.Unlock()
					if i%2 == 0 && put(http.MethodDelete, p.url+"/v2/team/app/manifests/"+tag, "", "") == http.StatusAccepted {
						mu.Lock()
						acked["delete team/app "+tag] = true
						mu.Unlock()
					}
				}
			})
		}
		<-enough
		p.kill()
		close(stop)
		pushing.Wait()
	}
	receiver.refuses(false)
	spawn(t, data, "--config", file, "--offline")
	missing := func() (events []string) {
		receiver.mu.Lock()
		defer receiver.mu.Unlock()
		for event := range acked {
			if !slices.Contains(receiver.got, event) {
				events = append(events, event)
			}
		}
		return events
	}
	defer func() {
		if lost := missing(); len(lost) > 0 {
			t.Errorf("%d events of %d acknowledged changes are lost, such as %s", len(lost), len(acked), lost[0])
		}
	}()
	eventually(t, "all events are delivered", func() bool { return len(missing()) == 0 })
}
