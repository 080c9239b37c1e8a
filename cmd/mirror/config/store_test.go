package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"airmirror/cmd/mirror/config/settings"
	"airmirror/gc"
)

// sharedStore are settings of a shared store.
func sharedStore() Config {
	c := Default()
	c.Store.Postgres.URL = "postgres://mirror:opensesame@db.example/mirror"
	c.Store.S3 = S3{Endpoint: "https://s3.example", Bucket: "mirror", AccessKey: "mirror", SecretKey: "opensesame"}
	return c
}

func TestStore(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*Config)
		want   string // "" if the settings are valid
	}{
		{"complete", func(*Config) {}, ""},
		{"credentials of the environment", func(c *Config) { c.Store.S3.AccessKey, c.Store.S3.SecretKey = "", "" }, ""},
		{"no database", func(c *Config) { c.Store.Postgres.URL = "" }, "store.postgres.url is missing"},
		{"no bucket", func(c *Config) { c.Store.S3.Bucket = "" }, "store.s3.bucket is missing"},
		{"no object storage", func(c *Config) { c.Store.S3 = S3{} }, "store.s3.endpoint is missing"},
		{"no URL of a database", func(c *Config) { c.Store.Postgres.URL = "host=db password=opensesame" }, "store.postgres.url is not a URL"},
		{"no URL", func(c *Config) { c.Store.S3.Endpoint = "s3.example:9000" }, "store.s3.endpoint is not a URL"},
		{"one key", func(c *Config) { c.Store.S3.SecretKey = "" }, "only one of accessKey and secretKey"},
		{"two secrets", func(c *Config) { c.Store.S3.SecretKeyFile = "secret" }, "remove one of them"},
		{"scheduled collections", func(c *Config) { c.GC.Interval, c.GC.MaxSize = gc.Age(time.Hour), 1<<40 }, ""},
		{"free space of a disk", func(c *Config) { c.GC.KeepFree = gc.Share{Percent: 10} }, "gc.keepFree is not available"},
		{"scheduled verifications", func(c *Config) { c.Verify.Interval = gc.Age(time.Hour) }, "verify.interval is not available"},
		{"short grace", func(c *Config) { c.GC.Grace = gc.Age(time.Minute) }, "set 10m or more"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := sharedStore()
			test.change(&c)
			_, err := c.Complete(nil)
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("Complete: %v, want %q", err, test.want)
			}
			if err != nil && strings.Contains(err.Error(), "opensesame") {
				t.Errorf("the error shows a secret: %v", err)
			}
		})
	}
}

func TestStoreSecrets(t *testing.T) {
	c := sharedStore()
	for _, url := range []string{c.Store.Postgres.URL, "postgres:///mirror?host=/run/postgresql&password=opensesame"} {
		c.Store.Postgres.URL = url
		shown, err := settings.Show(&c, nil, "store")
		if err != nil || strings.Contains(shown, "opensesame") {
			t.Errorf("the settings are shown as %v:\n%s", err, shown)
		}
	}
	c.Store.S3.SecretKey, c.Store.S3.SecretKeyFile = "", filepath.Join(t.TempDir(), "secret")
	if _, err := c.Cluster(); err == nil {
		t.Error("a file that does not exist is accepted")
	}
	must(t, os.WriteFile(c.Store.S3.SecretKeyFile, []byte("opensesame\n"), 0o600))
	if node, err := c.Cluster(); err != nil || node.S3.SecretKey != "opensesame" {
		t.Errorf("the secret key is %q, %v", node.S3.SecretKey, err)
	}
}
