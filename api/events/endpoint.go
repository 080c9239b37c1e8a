package events

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"airmirror/mirror"
)

// Endpoint is a receiver of events. Name and URL are required.
type Endpoint struct {
	// Name identifies the endpoint in logs and metrics, and its queue on disk.
	Name string
	// URL is an http or https URL. Only its host appears in logs, errors and [Status], because the rest may contain a
	// secret.
	URL     string
	Headers []Header
	// Timeout limits the time of a request. Zero means 10 seconds.
	Timeout time.Duration
	// CAFile contains PEM certificates to trust in addition to the system's.
	CAFile string
	// Actions are the actions to send. Empty means all.
	Actions []Action
	// Match are patterns of the repositories to send events for, see [mirror.Match], with their host or in the form
	// that the mirror serves. Empty means all. Ignore are patterns of repositories to leave out.
	Match, Ignore []string
	// IgnoreMediaTypes are media types of targets to leave out. That of blobs is application/octet-stream.
	IgnoreMediaTypes []string
	// Batch is the maximum number of events per request. Zero means 100.
	Batch int
	// Offline marks an endpoint on the local network, which is used in every mode of the mirror and without a proxy.
	// For other endpoints, the proxy settings of the environment apply.
	Offline bool
}

// Header is a header of the requests to an endpoint.
type Header struct {
	Name, Value string
	// ValueFile is a file with the value, used instead of Value. A newline at its end is ignored. It is read for each
	// request.
	ValueFile string
}

const (
	defaultTimeout = 10 * time.Second
	defaultBatch   = 100
	maxBatch       = 1000
)

// Names of endpoints are also names of folders and values of metric labels. The pattern does not count, because every
// start would compile a program for each of the counted bytes.
var validName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]*$`)

const maxName = 64

var validHeader = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")

// reservedHeaders describe the request body and the connection, and cannot be configured.
var reservedHeaders = []string{"Host", "Content-Type", "Content-Length", "Content-Encoding", "Transfer-Encoding", "Connection", "Trailer", "Upgrade"}

// Validate checks an endpoint without reading files. Its errors contain neither header values nor the URL.
func (e Endpoint) Validate() error {
	if len(e.Name) > maxName || !validName.MatchString(e.Name) {
		return fmt.Errorf("%q is not a valid endpoint name: use at most %d letters, digits, and _ . - after the first character", e.Name, maxName)
	}
	fail := func(format string, args ...any) error {
		return fmt.Errorf("endpoint %s: %w", e.Name, fmt.Errorf(format, args...))
	}
	u, err := url.Parse(e.URL)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return fail("the url must be of the form https://listener.example/events")
	case u.User != nil:
		return fail("the url contains a user name or password: use the Authorization header instead")
	case e.Timeout < 0:
		return fail("the timeout is negative")
	case e.Batch < 0 || e.Batch > maxBatch:
		return fail("batch %d: want 1 to %d", e.Batch, maxBatch)
	}
	for _, action := range e.Actions {
		if !slices.Contains(Actions, action) {
			return fail("unknown action %s: use %s", action, strings.ReplaceAll(strings.Trim(fmt.Sprint(Actions), "[]"), " ", ", "))
		}
	}
	for _, pattern := range slices.Concat(e.Match, e.Ignore) {
		if !mirror.ValidPattern(pattern) {
			return fail("%q is not a valid pattern of repositories", pattern)
		}
	}
	for _, h := range e.Headers {
		if err := h.validate(); err != nil {
			return fail("%w", err)
		}
	}
	return nil
}

func (h Header) validate() error {
	switch {
	case !validHeader.MatchString(h.Name):
		return fmt.Errorf("%q is not a valid header name", h.Name)
	case slices.Contains(reservedHeaders, http.CanonicalHeaderKey(h.Name)):
		return fmt.Errorf("the header %s is set by the mirror", h.Name)
	case h.Value != "" && h.ValueFile != "":
		return fmt.Errorf("the header %s has both a value and a valueFile", h.Name)
	}
	return h.sane(h.Value)
}

// sane checks that a value can be sent in a header. Its error does not contain the value.
func (h Header) sane(value string) error {
	if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
		return fmt.Errorf("the value of the header %s contains a newline or control characters", h.Name)
	}
	return nil
}

// read returns the value of the header.
func (h Header) read() (string, error) {
	if h.ValueFile == "" {
		return h.Value, nil
	}
	text, err := os.ReadFile(h.ValueFile)
	if err != nil {
		return "", fmt.Errorf("read the header %s: %w", h.Name, err)
	}
	value := strings.TrimSpace(string(mirror.Text(text)))
	return value, h.sane(value)
}

// accepts reports whether the endpoint wants an event about a repository.
func (e *Endpoint) accepts(action Action, t *Target, repo mirror.Repo) bool {
	if len(e.Actions) > 0 && !slices.Contains(e.Actions, action) || slices.Contains(e.IgnoreMediaTypes, t.MediaType) {
		return false
	}
	among := func(patterns []string) bool {
		return mirror.MatchAny(patterns, t.Repository) || mirror.MatchAny(patterns, repo.String())
	}
	return (len(e.Match) == 0 || among(e.Match)) && (len(e.Ignore) == 0 || !among(e.Ignore))
}

// authorities reads the CA file. It returns nil if there is none.
func (e Endpoint) authorities() ([]byte, error) {
	if e.CAFile == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(e.CAFile)
	if err == nil && !x509.NewCertPool().AppendCertsFromPEM(bytes.Clone(pem)) {
		err = errors.New(e.CAFile + " contains no PEM certificate")
	}
	if err != nil {
		return nil, fmt.Errorf("endpoint %s: read its CA certificates: %w", e.Name, err)
	}
	return pem, nil
}

// client returns an HTTP client for the endpoint. It uses a new connection for each request, so that none stays open
// when the mirror goes offline and none is dialled in advance.
func (e Endpoint) client(pem []byte) (*http.Client, error) {
	transport := &http.Transport{DisableKeepAlives: true, Proxy: http.ProxyFromEnvironment, TLSHandshakeTimeout: defaultTimeout}
	if e.Offline {
		transport.Proxy = nil
	}
	if pem != nil {
		pool, err := x509.SystemCertPool()
		if err != nil {
			return nil, fmt.Errorf("read the system's CA certificates: %w", err)
		}
		pool.AppendCertsFromPEM(pem)
		transport.TLSClientConfig = &tls.Config{RootCAs: pool}
	}
	return &http.Client{
		Transport: transport, Timeout: e.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}
