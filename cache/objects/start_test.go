package objects

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"airmirror/cache/objects/s3"
)

// TestStart checks what is said about a bucket that cannot be used.
func TestStart(t *testing.T) {
	s, index := store(t), openIndex(t)
	d := put(t, openNode(t, s, index), large())
	openNode(t, s, index) // the same cluster
	for _, test := range []struct {
		name   string
		change func(*s3.Config)
		empty  bool // with the index of another cluster
		want   string
	}{
		{name: "other cluster", empty: true, want: "belongs to another cluster"},
		{name: "other prefix", change: func(c *s3.Config) { c.Prefix = "other/" }, want: "the wrong bucket or prefix"},
		{name: "no bucket", change: func(c *s3.Config) { c.Bucket = "missing" }, want: "the bucket does not exist"},
		{name: "unknown key", change: func(c *s3.Config) { c.AccessKey = "nobody" }, want: "check the credentials"},
		{name: "wrong secret", change: func(c *s3.Config) { c.SecretKey = "wrong" }, want: "check the credentials"},
		{name: "no URL", change: func(c *s3.Config) { c.Endpoint = "localhost:9000" }, want: "is not a URL"},
		{name: "certificates", change: func(c *s3.Config) { c.CAFile = "missing.pem" }, want: "read the certificates"},
	} {
		t.Run(test.name, func(t *testing.T) {
			config, index := s.config(), index
			if test.empty {
				index = openIndex(t)
			}
			if test.change != nil {
				test.change(&config)
			}
			_, err := Open(t.Context(), index, Options{S3: config, Folder: t.TempDir()})
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("Open: %v; want one line with %q", err, test.want)
			}
		})
	}
	if _, err := read(t, openNode(t, s, index), d); err != nil {
		t.Error(err)
	}
}

// TestStartElsewhere opens another part of the bucket with an index that names no object yet.
func TestStartElsewhere(t *testing.T) {
	s, index := store(t), openIndex(t)
	openNode(t, s, index)
	config := s.config()
	config.Prefix = "other/" + config.Prefix
	_, err := Open(t.Context(), index, Options{S3: config, Folder: t.TempDir()})
	if err == nil || !strings.Contains(err.Error(), "the wrong bucket or prefix") {
		t.Errorf("Open: %v", err)
	}
}

// TestMissingRights refuses one kind of request at a time.
func TestMissingRights(t *testing.T) {
	for _, refused := range []string{"get", "put", "delete", "begin"} {
		t.Run(refused, func(t *testing.T) {
			s := store(t)
			s.setIntercept(func(w http.ResponseWriter, r *http.Request) bool {
				if kind(r) != refused {
					return false
				}
				_, _ = io.Copy(io.Discard, r.Body)
				w.WriteHeader(http.StatusForbidden)
				_, _ = io.WriteString(w, `<?xml version="1.0" encoding="UTF-8"?><Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>`)
				return true
			})
			_, err := Open(t.Context(), openIndex(t), Options{S3: s.config(), Folder: t.TempDir()})
			if err == nil || !strings.Contains(err.Error(), "check the credentials and their rights") || strings.Contains(err.Error(), "\n") {
				t.Errorf("Open: %v", err)
			}
		})
	}
}

// TestRedirect reads a blob by the URL that a client is sent to.
func TestRedirect(t *testing.T) {
	s, index := store(t), openIndex(t)
	d := put(t, openNode(t, s, index), large())
	small := put(t, openNode(t, s, index), []byte("in the index"))
	redirects := func(r Redirects) func(*Options) { return func(o *Options) { o.Redirects = r } }
	for _, test := range []struct {
		name      string
		redirects Redirects
		cached    bool
		want      bool
	}{
		{name: "by default"},
		{name: "never", redirects: Redirects{Mode: RedirectNever}},
		{name: "auto", redirects: Redirects{Mode: RedirectAuto}, want: true},
		{name: "auto, cached", redirects: Redirects{Mode: RedirectAuto}, cached: true},
		{name: "always", redirects: Redirects{Mode: RedirectAlways}, cached: true, want: true},
		{name: "too small", redirects: Redirects{Mode: RedirectAlways, MinSize: 1 << 30}},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := openNode(t, s, index, redirects(test.redirects))
			if test.cached {
				if _, err := read(t, o, d); err != nil {
					t.Fatal(err)
				}
			}
			u, err := o.Redirect(t.Context(), d)
			if err != nil || (u != "") != test.want {
				t.Fatalf("Redirect = %q, %v", u, err)
			}
			if u, err := o.Redirect(t.Context(), small); u != "" || err != nil {
				t.Errorf("Redirect of content in the index = %q, %v", u, err)
			}
			if u == "" {
				return
			}
			answer, err := http.Get(u)
			must(t, err)
			defer answer.Body.Close()
			if got, err := io.ReadAll(answer.Body); err != nil || answer.StatusCode != http.StatusOK || string(got) != string(large()) {
				t.Errorf("the answer is %s with %d bytes, %v", answer.Status, len(got), err)
			}
		})
	}
}
