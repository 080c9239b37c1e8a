package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"airmirror/cmd/mirror/testport"

	"github.com/google/go-containerregistry/pkg/name"
	gcr "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/rogpeppe/go-internal/testscript"
)

// TestScripts runs the scripts in testdata/script.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			addr, err := testport.FindAddress()
			if err != nil {
				return err
			}
			env.Setenv("ADDR", addr)
			env.Setenv("GORACE", os.Getenv("GORACE")) // make test keeps the commands from sleeping at their end
			origin := httptest.NewServer(gcr.New(gcr.Logger(log.New(io.Discard, "", 0))))
			env.Defer(origin.Close)
			env.Setenv("ORIGIN", strings.TrimPrefix(origin.URL, "http://"))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"answers": answers, "image": image, "login": login, "healthy": healthy, "blob": blob, "damage": damage, "digest": setDigest, "list": writeList, "fetch": fetch, "bearer": bearer, "follow": follow,
			"twins": twins, "cut": cut, "damage-entry": damageEntry, "damage-table": damageTable},
	})
}

// image HOST/NAME:TAG ARCH[=BYTES]...: pushes an image for each architecture of linux, with layers of the given size.
func image(ts *testscript.TestScript, _ bool, args []string) {
	ref, err := name.ParseReference(args[0], name.Insecure)
	ts.Check(err)
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, arch := range args[1:] {
		arch, size, sized := strings.Cut(arch, "=")
		if !sized {
			size = "65536"
		}
		bytes, err := strconv.ParseInt(size, 10, 64)
		ts.Check(err)
		img, err := random.Image(bytes, 2)
		ts.Check(err)
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add: img, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: arch}},
		})
	}
	ts.Check(remote.WriteIndex(ref, index))
}

// login URL USER PASSWORD: waits until the URL accepts this user, and no request without a login.
func login(ts *testscript.TestScript, _ bool, args []string) {
	ask := func(password string) int {
		req, err := http.NewRequest(http.MethodGet, args[0], nil)
		ts.Check(err)
		req.SetBasicAuth(args[1], password)
		resp, err := http.DefaultClient.Do(req)
		ts.Check(err)
		resp.Body.Close()
		return resp.StatusCode
	}
	deadline := time.After(2 * time.Minute)
	tick := time.NewTicker(500 * time.Millisecond) // not to be slowed for what is wrong until the file was read
	defer tick.Stop()
	for ask(args[2]) != http.StatusOK || ask(args[2]+"?") != http.StatusUnauthorized {
		select {
		case <-tick.C:
		case <-deadline:
			ts.Fatalf("%s does not log in", args[1])
		}
	}
}

// fetch METHOD URL [HEADER=VALUE...]: prints status, headers and body of the response.
func fetch(ts *testscript.TestScript, _ bool, args []string) {
	req, err := http.NewRequest(args[0], args[1], nil)
	ts.Check(err)
	for _, header := range args[2:] {
		key, value, _ := strings.Cut(header, "=")
		if key == "Host" {
			req.Host = value
		}
		req.Header.Add(key, value)
	}
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	ts.Check(err)
	defer resp.Body.Close()
	fmt.Fprintln(ts.Stdout(), resp.Status)
	ts.Check(resp.Header.Write(ts.Stdout()))
	_, err = io.Copy(ts.Stdout(), resp.Body)
	ts.Check(err)
}

// bearer [METHOD ]URL FILE: sends a request with the bearer token in a file, and an empty JSON object as the body, and prints
// status and body of the response.
func bearer(ts *testscript.TestScript, _ bool, args []string) {
	method, url, ok := strings.Cut(args[0], " ")
	if !ok {
		method, url = http.MethodGet, args[0]
	}
	req, err := http.NewRequest(method, url, strings.NewReader("{}"))
	ts.Check(err)
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(ts.ReadFile(args[1])))
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	ts.Check(err)
	defer resp.Body.Close()
	fmt.Fprintln(ts.Stdout(), resp.Status)
	_, err = io.Copy(ts.Stdout(), resp.Body)
	ts.Check(err)
}

// follow FILE: logs in to the console with the one-time link in a file, and prints the status of an answer for administrators.
func follow(ts *testscript.TestScript, _ bool, args []string) {
	link, err := url.Parse(strings.TrimSpace(ts.ReadFile(args[0])))
	ts.Check(err)
	jar, err := cookiejar.New(nil)
	ts.Check(err)
	browser := &http.Client{Jar: jar, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := browser.PostForm(link.String(), url.Values{"action": {"login"}, "link": {link.Query().Get("link")}})
	ts.Check(err)
	resp.Body.Close()
	req, err := http.NewRequest(http.MethodGet, link.Scheme+"://"+link.Host+"/api/v1/status", nil)
	ts.Check(err)
	req.Header.Set("Sec-Fetch-Site", "same-origin") // as a browser, whose requests have no rights of this machine
	resp, err = browser.Do(req)
	ts.Check(err)
	resp.Body.Close()
	fmt.Fprintln(ts.Stdout(), resp.Status)
}

// answers URL [CA]: waits until the URL responds, with a certificate of the authority if one is given.
func answers(ts *testscript.TestScript, neg bool, args []string) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	if len(args) > 1 {
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM([]byte(ts.ReadFile(args[1])))
		client.Transport = &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: pool}}
	}
	deadline := time.After(2 * time.Minute)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		resp, err := client.Get(args[0])
		if err == nil {
			fmt.Fprintln(ts.Stdout(), resp.Status)
			resp.Body.Close()
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			ts.Fatalf("%s is not answered: %v", args[0], err)
		}
	}
}

// healthy FOLDER: waits until the mirror of the folder is healthy.
func healthy(ts *testscript.TestScript, _ bool, args []string) {
	deadline := time.After(2 * time.Minute)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ts.Exec("mirror", "health", "--data", args[0])
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			ts.Fatalf("the mirror on %s is not healthy: %v", args[0], err)
		}
	}
}
