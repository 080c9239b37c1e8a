//go:build e2e

package e2e_test

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"airmirror/cmd/mirror/testport"
)

// cluster is two nodes with one store.
type cluster struct {
	database *database
	bucket   *bucket
	a, b     *server
}

func startCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{database: startDatabase(t), bucket: startBucket(t)}
	c.a, c.b = c.node(t), c.node(t)
	return c
}

// node starts a node with a data folder of its own.
func (c *cluster) node(t *testing.T) *server {
	t.Helper()
	return startMirrorWith(t, nodeOf(t, c.database, c.bucket), testport.Address(t), filepath.Join(tempDir(t), "data"), "--offline")
}

func TestClusterServesWhatAnotherNodeStored(t *testing.T) {
	c := startCluster(t)
	first := push(t, helloIndex(t, ociFormat, "hello from a"), c.a.addr+"/team/app:1").String()
	wantWhole(t, c.b.addr+"/team/app:1", first)

	second := push(t, helloIndex(t, ociFormat, "hello again"), c.a.addr+"/team/app:1").String()
	wantWhole(t, c.b.addr+"/team/app:1", second) // the tag has moved
	copyIntact(t, "docker://"+c.b.addr+"/team/app:1", "docker://"+c.b.addr+"/other/app:2")
	wantWhole(t, c.a.addr+"/other/app:2", second)

	c.b.ask(t, "gc")
	wantWhole(t, c.a.addr+"/team/app:1", second)
	wantWhole(t, c.a.addr+"/team/app@"+first, first)
	c.a.ask(t, "pin", "team/app:1")
	if pins := c.b.ask(t, "pin"); !strings.Contains(pins, "team/app:1") {
		t.Errorf("the other node lists the pins %q", pins)
	}

	c.a.kill()
	wantWhole(t, c.b.addr+"/team/app:1", second)
	third := push(t, helloIndex(t, ociFormat, "hello from b"), c.b.addr+"/team/app:3").String()
	a := startMirrorWith(t, nodeOf(t, c.database, c.bucket), c.a.addr, c.a.data, "--offline")
	wantWhole(t, a.addr+"/team/app:3", third)
}

func TestClusterSharesReadOnlyModeAndWants(t *testing.T) {
	c := startCluster(t)
	shows := func(node *server, text string, is bool, command string) {
		t.Helper()
		eventually(t, text+" on the other node", func() error {
			if out := node.ask(t, command); strings.Contains(out, text) != is {
				return fmt.Errorf("it prints %q", out)
			}
			return nil
		})
	}
	get(t, "http://"+c.a.addr+"/v2/library/wanted/manifests/1")
	shows(c.b, "library/wanted:1", true, "wants")
	c.a.ask(t, "mode", "read-only", "on")
	shows(c.b, "read-only", true, "mode")
	c.b.ask(t, "mode", "read-only", "off")
	shows(c.a, "read-only", false, "mode")
}

func TestClusterSaysWhichEngineIsAway(t *testing.T) {
	c := startCluster(t)
	digest := push(t, helloIndex(t, ociFormat, "hello"), c.a.addr+"/team/app:1").String()
	away := func(engine string) {
		t.Helper()
		eventually(t, "readyz names "+engine, func() error {
			response, text := get(t, "http://"+c.b.addr+"/readyz")
			if response.StatusCode != http.StatusServiceUnavailable || !strings.Contains(text, engine) {
				return fmt.Errorf("%s: %s", response.Status, text)
			}
			return nil
		})
	}
	ready := func() {
		t.Helper()
		for _, node := range []*server{c.a, c.b} {
			eventually(t, "the node is ready", func() error { return answers("http://" + node.addr + "/readyz") })
		}
	}

	c.database.stopNow()
	away("PostgreSQL does not answer")
	for _, path := range []string{"manifests/1", "manifests/" + digest, "blobs/" + digest, "tags/list"} {
		response, text := get(t, "http://"+c.b.addr+"/v2/team/app/"+path)
		if response.StatusCode != http.StatusServiceUnavailable || response.Header.Get("Retry-After") == "" {
			t.Errorf("GET %s without the database: %s, Retry-After %q: %s", path, response.Status, response.Header.Get("Retry-After"), text)
		}
	}
	c.database.restart(t)
	ready()
	wantWhole(t, c.b.addr+"/team/app:1", digest)

	c.bucket.kill()
	away("the object storage does not answer")
	for _, node := range []*server{c.a, c.b} {
		node.stopCleanly(t)
	}
}

func TestClusterRefusesToStart(t *testing.T) {
	c := startCluster(t)
	data := filepath.Join(tempDir(t), "data")
	for _, test := range []struct {
		name, set, want string
		data            string
	}{
		{name: "half a pair", set: "MIRROR_STORE_S3_ENDPOINT=", want: "store.s3.endpoint is missing"},
		{name: "verifications of each node", set: "MIRROR_VERIFY_INTERVAL=30d", want: "verify.interval is not available with a shared store yet"},
		{name: "no database", set: "MIRROR_STORE_POSTGRES_URL=" + strings.Replace(c.database.url(), "/postgres?", "/missing?", 1), want: `database "missing" does not exist: create it`},
		{name: "no server", set: "MIRROR_STORE_POSTGRES_URL=postgres://postgres@" + testport.Address(t) + "/postgres", want: "it does not answer"},
		{name: "no bucket", set: "MIRROR_STORE_S3_BUCKET=missing", want: "the bucket does not exist: create it"},
		{name: "other secret", set: "MIRROR_STORE_S3_SECRET_KEY=wrong", want: "check the credentials"},
		{name: "other prefix", set: "MIRROR_STORE_S3_PREFIX=other/", want: "the wrong bucket or prefix"},
		{name: "folder in use", want: "is in use by another process", data: c.a.data},
	} {
		t.Run(test.name, func(t *testing.T) {
			folder := data
			if test.data != "" {
				folder = test.data
			}
			r := try(t, nodeOf(t, c.database, c.bucket, test.set), serve(testport.Address(t), folder, "--offline")...)
			if r.code <= 0 || !strings.Contains(r.stderr, test.want) || strings.Count(r.stderr, "\nmirror: ") > 0 {
				t.Errorf("exit code %d, want one line with %q:\n%s", r.code, test.want, r.stderr)
			}
		})
	}
	c.b.stopCleanly(t)
	for _, env := range [][]string{environment(t), nodeOf(t, c.database, c.bucket)} {
		r := try(t, env, mirrorBin, "ls", "--data", c.b.data)
		if r.code <= 0 || !strings.Contains(r.stderr, "is shared with other nodes") {
			t.Errorf("a command without a server: exit code %d: %s", r.code, r.stderr)
		}
	}
	r := try(t, environment(t), serve(testport.Address(t), c.b.data)...)
	if r.code <= 0 || !strings.Contains(r.stderr, "is that of a node with a shared store") {
		t.Errorf("a server without the settings of the store: exit code %d: %s", r.code, r.stderr)
	}
}
