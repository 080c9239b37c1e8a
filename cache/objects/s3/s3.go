// Package s3 sends the few requests that package objects needs to a bucket of an S3-compatible store. It lists nothing but
// the objects of one abandoned upload, and copies nothing.
//
// # Failures
//
// A request is repeated when the store does not answer, or answers that it is busy; a read continues where it stopped. Each
// request has a time limit, and a read that gets no bytes for [Config.Timeout] counts as failed, so nothing waits for ever.
// What remains is an error with [mirror.CodeUnavailable], [ErrNotFound] or [ErrNoUpload], or a refusal that names the request.
package s3

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// Config describes a bucket.
type Config struct {
	Endpoint string // URL of the store, without a path: https://s3.example.com
	Bucket   string
	Prefix   string // begins the names of all objects; may be empty
	Region   string // us-east-1 by default
	// AccessKey and SecretKey are the credentials. Without them, they come from the environment (AWS_ACCESS_KEY_ID …), or from
	// the file ~/.aws/credentials.
	AccessKey, SecretKey string
	PathStyle            bool   // the bucket is in the path, not in the name of the host
	CAFile               string // certificates to trust beside those of the system
	// PublicEndpoint is the URL of the store for clients, in presigned URLs. It is Endpoint by default.
	PublicEndpoint string
	// Timeout limits the wait for an answer, and for the next bytes of one. It is 30 seconds by default.
	Timeout time.Duration
}

// attempts is how often a request is sent, and how often in a row a read may fail.
const attempts = 4

// defaultTimeout is [Config.Timeout] by default.
const defaultTimeout = 30 * time.Second

// slowest is the rate, in bytes per second, at which the body of a request must be sent.
const slowest = 64 << 10

// Bucket is a bucket of an S3-compatible store. All methods are safe for concurrent use.
type Bucket struct {
	core    minio.Core
	public  *minio.Client
	config  Config
	timeout time.Duration
}

// New returns the bucket. It sends no request.
func New(config Config) (*Bucket, error) {
	b := &Bucket{config: config, timeout: config.Timeout}
	if b.timeout == 0 {
		b.timeout = defaultTimeout
	}
	client, err := b.client(config.Endpoint)
	if err != nil {
		return nil, err
	}
	b.core = minio.Core{Client: client}
	b.public = client
	if config.PublicEndpoint != "" {
		b.public, err = b.client(config.PublicEndpoint)
	}
	return b, err
}

func (b *Bucket) client(endpoint string) (*minio.Client, error) {
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.Path != "" && u.Path != "/" || u.User != nil {
		return nil, fmt.Errorf("the endpoint %q of the object storage is not a URL such as https://s3.example.com", endpoint)
	}
	transport, err := b.transport()
	if err != nil {
		return nil, err
	}
	lookup := minio.BucketLookupDNS
	if b.config.PathStyle {
		lookup = minio.BucketLookupPath
	}
	region := b.config.Region
	if region == "" {
		region = "us-east-1" // without a region, the client would ask the store for it
	}
	client, err := minio.New(u.Host, &minio.Options{
		Creds: b.credentials(), Secure: u.Scheme == "https", Transport: transport, Region: region, BucketLookup: lookup, MaxRetries: attempts,
	})
	if err != nil {
		return nil, fmt.Errorf("the settings of the object storage: %w", err)
	}
	return client, nil
}

func (b *Bucket) credentials() *credentials.Credentials {
	if b.config.AccessKey != "" || b.config.SecretKey != "" {
		return credentials.NewStaticV4(b.config.AccessKey, b.config.SecretKey, "")
	}
	return credentials.NewChainCredentials([]credentials.Provider{new(credentials.EnvAWS), new(credentials.FileAWSCredentials)})
}

func (b *Bucket) transport() (*http.Transport, error) {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost = 64
	t.ResponseHeaderTimeout = b.timeout
	t.DisableCompression = true
	if b.config.CAFile == "" {
		return t, nil
	}
	pem, err := os.ReadFile(b.config.CAFile)
	if err != nil {
		return nil, fmt.Errorf("read the certificates to trust for the object storage: %w", err)
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	if !roots.AppendCertsFromPEM(pem) {
		return nil, errors.New("the file " + b.config.CAFile + " contains no certificates for the object storage")
	}
	t.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	return t, nil
}

// String names the bucket in messages.
func (b *Bucket) String() string {
	return fmt.Sprintf("bucket %s of %s", b.config.Bucket, b.config.Endpoint)
}

func (b *Bucket) name(key string) string { return b.config.Prefix + key }
