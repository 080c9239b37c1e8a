package config

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"airmirror/cache/cluster"
	"airmirror/cache/objects/s3"
	"airmirror/cache/postgres"
	"airmirror/gc"
	"airmirror/mirror"
)

// Store configures a store that several nodes share. Without it, everything is in the data folder.
type Store struct {
	Postgres Postgres   `yaml:"postgres"`
	S3       S3         `yaml:"s3"`
	Cache    StoreCache `yaml:"cache"`
}

// Postgres configures the database of a shared store.
type Postgres struct {
	URL          string `yaml:"url" secret:"url"`
	PasswordFile string `yaml:"passwordFile"`
	CAFile       string `yaml:"caFile"`
}

// S3 configures the bucket of a shared store.
type S3 struct {
	Endpoint      string `yaml:"endpoint"`
	Bucket        string `yaml:"bucket"`
	Prefix        string `yaml:"prefix"`
	Region        string `yaml:"region"`
	AccessKey     string `yaml:"accessKey"`
	SecretKey     string `yaml:"secretKey" secret:"true"`
	SecretKeyFile string `yaml:"secretKeyFile"`
	PathStyle     bool   `yaml:"pathStyle"`
	CAFile        string `yaml:"caFile"`
}

// StoreCache configures the local copies of blobs of a shared store.
type StoreCache struct {
	Size gc.Size `yaml:"size"`
}

// Shared reports whether the store is shared with other nodes.
func (s Store) Shared() bool { return s.Postgres != (Postgres{}) || s.S3 != (S3{}) }

// checkStore validates a shared store, and refuses what is not safe yet with several nodes.
func (c Config) checkStore() error {
	p, b := c.Store.Postgres, c.Store.S3
	switch {
	case !c.Store.Shared():
		return nil
	case p.URL == "":
		return errors.New("store.postgres.url is missing: a shared store needs a database beside the bucket")
	case !strings.HasPrefix(p.URL, "postgres://") && !strings.HasPrefix(p.URL, "postgresql://"):
		return errors.New("store.postgres.url is not a URL such as postgres://mirror@db.example/mirror")
	case b.Endpoint == "":
		return errors.New("store.s3.endpoint is missing: a shared store needs a bucket beside the database")
	case b.Bucket == "":
		return errors.New("store.s3.bucket is missing: set the name of the bucket")
	case b.SecretKey != "" && b.SecretKeyFile != "":
		return errors.New("store.s3 has a secretKey and a secretKeyFile: remove one of them")
	case (b.AccessKey == "") != (b.SecretKey == "" && b.SecretKeyFile == ""):
		return errors.New("store.s3 has only one of accessKey and secretKey: set both, or none to use AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
	}
	if u, err := url.Parse(b.Endpoint); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.User != nil {
		return errors.New("store.s3.endpoint is not a URL such as https://s3.example.com")
	}
	return c.checkSharedGC()
}

// checkSharedGC refuses what does not work with a shared store yet.
func (c Config) checkSharedGC() error {
	g := c.GC
	switch {
	case !g.KeepFree.IsZero():
		return errors.New("gc.keepFree is not available with a shared store, which is on no disk of this machine: remove it, or set gc.maxSize")
	case c.Verify.Interval != 0:
		return errors.New("verify.interval is not available with a shared store yet, as each node would read everything: remove it, and run 'mirror verify' on one node")
	}
	if g.Grace < gc.Age(cluster.Grace) {
		return fmt.Errorf("gc.grace is %s, and a shared store keeps for %s what was used: set %[2]s or more", g.Grace, mirror.FormatDuration(cluster.Grace))
	}
	return nil
}

// Cluster returns the node of a shared store as package cluster takes it. It reads the file with the secret key.
func (c Config) Cluster() (cluster.Config, error) {
	p, b := c.Store.Postgres, c.Store.S3
	secret := b.SecretKey
	if b.SecretKeyFile != "" {
		text, err := os.ReadFile(b.SecretKeyFile)
		if err != nil {
			return cluster.Config{}, fmt.Errorf("cannot read the secret key of the bucket: %w", err)
		}
		if secret = strings.TrimSpace(string(mirror.Text(text))); secret == "" {
			return cluster.Config{}, fmt.Errorf("the file %s contains no secret key of the bucket", b.SecretKeyFile)
		}
	}
	return cluster.Config{
		Folder:   c.Data,
		Postgres: postgres.Options{URL: p.URL, PasswordFile: p.PasswordFile, CAFile: p.CAFile},
		S3: s3.Config{
			Endpoint: b.Endpoint, Bucket: b.Bucket, Prefix: b.Prefix, Region: b.Region, AccessKey: b.AccessKey, SecretKey: secret,
			PathStyle: b.PathStyle, CAFile: b.CAFile, Timeout: storageTimeout,
		},
		CacheBytes: int64(c.Store.Cache.Size),
	}, nil
}

// storageTimeout limits the wait for the bucket.
const storageTimeout = 15 * time.Second
